//! The limits of the process: from the environment first, then as `nvhealth` and applications set them.

use std::env;

use glib::{ParamFlags, ParamSpec, ParamSpecBuilderExt, Value, value::ToValue};

use super::{CAT, Error, ErrorCode, clock::Time};

/// Whether `add-feed` takes pipelines that an application wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, glib::Enum)]
#[enum_type(name = "GstNvCustomPipelinePolicy")]
pub enum CustomPipelinePolicy {
    #[default]
    #[enum_value(name = "Feeds come from a uri only", nick = "reject")]
    Reject,
    #[enum_value(name = "Launch fragments are run: they can do all that this process may", nick = "allow-trusted")]
    AllowTrusted,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuntimeConfig {
    /// At least 1.
    pub max_feeds: u32,
    /// How long the end of a feed is waited for.
    pub feed_join_timeout: Time,
    /// Health events that wait for one subscriber; at least 1.
    pub health_capacity: u32,
    /// Results that wait for one subscriber; at least 1.
    pub output_capacity: u32,
    pub custom_pipeline_policy: CustomPipelinePolicy,
}

impl Default for RuntimeConfig {
    fn default() -> Self {
        Self {
            max_feeds: 64,
            feed_join_timeout: 10_000_000_000,
            health_capacity: 256,
            output_capacity: 256,
            custom_pipeline_policy: CustomPipelinePolicy::default(),
        }
    }
}

impl RuntimeConfig {
    /// `NV_MAX_FEEDS`, `NV_FEED_JOIN_TIMEOUT` and so on: the name of each property, in capitals. What cannot be used is
    /// left at its default with a warning.
    pub fn from_environment() -> Self {
        let mut config = Self::default();
        for spec in specs() {
            let variable = variable(spec.name());
            let Some(set) = env::var_os(&variable) else { continue };
            if let Err(wrong) = config.read(&spec, &set.to_string_lossy()) {
                gst::warning!(CAT, "{variable} is not used: {wrong}");
            }
        }
        config
    }

    fn read(&mut self, spec: &ParamSpec, text: &str) -> Result<(), Error> {
        let value = <Value as gst::prelude::GstValueExt>::deserialize_with_pspec(text.trim(), spec).map_err(|_| {
            let message = format!("`{}` cannot be '{text}': it is a {}", spec.name(), spec.value_type().name());
            Error::new(ErrorCode::InvalidConfig, message)
        })?;
        let mut changed = self.clone();
        set(&mut changed, spec.name(), &value);
        changed.check()?;
        *self = changed;
        Ok(())
    }

    /// Refuses limits of zero, with which nothing would go.
    pub fn check(&self) -> Result<(), Error> {
        let limits = [
            ("max-feeds", self.max_feeds),
            ("health-capacity", self.health_capacity),
            ("output-capacity", self.output_capacity),
        ];
        match limits.into_iter().find(|&(_, limit)| limit == 0) {
            Some((name, _)) => {
                Err(Error::new(ErrorCode::InvalidCapacity, format!("`{name}` is 0: set it to 1 or more")))
            }
            None => Ok(()),
        }
    }
}

/// The limits as properties, the same of `nvhealth` and of the runtime; [`set`] and [`get`] know each of them.
pub fn specs() -> Vec<ParamSpec> {
    let d = RuntimeConfig::default();
    let flags = ParamFlags::READWRITE | gst::PARAM_FLAG_MUTABLE_PLAYING;
    // 0 can be set, to be refused with a reason: GObject would only ignore it.
    let count = |name: &str, nick: &str, blurb: &str, default: u32| {
        glib::ParamSpecUInt::builder(name).nick(nick).blurb(blurb).default_value(default).flags(flags).build()
    };
    vec![
        count("max-feeds", "Max feeds", "Most feeds at a time in this process (at least 1)", d.max_feeds),
        glib::ParamSpecUInt64::builder("feed-join-timeout")
            .nick("Feed join timeout")
            .blurb("How long the end of a feed is waited for before it is left behind, in nanoseconds")
            .default_value(d.feed_join_timeout)
            .flags(flags)
            .build(),
        count(
            "health-capacity",
            "Health capacity",
            "Health events that wait for one subscriber; one that falls behind loses the oldest (at least 1)",
            d.health_capacity,
        ),
        count(
            "output-capacity",
            "Output capacity",
            "Results that wait for one subscriber; one that falls behind loses the oldest (at least 1)",
            d.output_capacity,
        ),
        glib::ParamSpecEnum::builder_with_default("custom-pipeline-policy", d.custom_pipeline_policy)
            .nick("Custom pipeline policy")
            .blurb("Whether add-feed takes a launch fragment instead of a uri")
            .flags(flags)
            .build(),
    ]
}

/// Sets the limit if it is one of [`specs`].
pub fn set(config: &mut RuntimeConfig, name: &str, value: &Value) -> bool {
    fn put<'a, T: glib::value::FromValue<'a>>(field: &mut T, value: &'a Value) -> bool {
        // GObject has checked the type by its specification.
        value.get().map(|value| *field = value).is_ok()
    }
    match name {
        "max-feeds" => put(&mut config.max_feeds, value),
        "feed-join-timeout" => put(&mut config.feed_join_timeout, value),
        "health-capacity" => put(&mut config.health_capacity, value),
        "output-capacity" => put(&mut config.output_capacity, value),
        "custom-pipeline-policy" => put(&mut config.custom_pipeline_policy, value),
        _ => false,
    }
}

/// Its value, if it is one of [`specs`].
pub fn get(config: &RuntimeConfig, name: &str) -> Option<Value> {
    Some(match name {
        "max-feeds" => config.max_feeds.to_value(),
        "feed-join-timeout" => config.feed_join_timeout.to_value(),
        "health-capacity" => config.health_capacity.to_value(),
        "output-capacity" => config.output_capacity.to_value(),
        "custom-pipeline-policy" => config.custom_pipeline_policy.to_value(),
        _ => return None,
    })
}

fn variable(property: &str) -> String {
    format!("NV_{}", property.replace('-', "_").to_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(property: &str, text: &str) -> Result<RuntimeConfig, Error> {
        gst::init().unwrap();
        let spec = specs().into_iter().find(|spec| spec.name() == property).unwrap();
        let mut config = RuntimeConfig::default();
        config.read(&spec, text).map(|()| config)
    }

    #[test]
    fn every_limit_can_be_read_and_written_and_starts_at_its_default() {
        gst::init().unwrap();
        let mut config = RuntimeConfig::default();
        for spec in specs() {
            let value = get(&config, spec.name()).unwrap();
            assert_eq!(format!("{value:?}"), format!("{:?}", spec.default_value()), "{}", spec.name());
            assert!(set(&mut config, spec.name(), &value), "{}", spec.name());
        }
        assert_eq!(config, RuntimeConfig::default());
        assert!(!set(&mut config, "colour", &1u32.into()) && get(&config, "colour").is_none());
    }

    #[test]
    fn the_environment_speaks_as_gst_launch_does() {
        assert_eq!(variable("custom-pipeline-policy"), "NV_CUSTOM_PIPELINE_POLICY");
        assert_eq!(read("max-feeds", " 100 ").unwrap().max_feeds, 100);
        assert_eq!(read("feed-join-timeout", "2000000000").unwrap().feed_join_timeout, 2_000_000_000);
        let policy = read("custom-pipeline-policy", "allow-trusted").unwrap().custom_pipeline_policy;
        assert_eq!(policy, CustomPipelinePolicy::AllowTrusted);
        for (property, text, code) in [
            ("max-feeds", "0", ErrorCode::InvalidCapacity),
            ("output-capacity", "0", ErrorCode::InvalidCapacity),
            ("max-feeds", "many", ErrorCode::InvalidConfig),
            ("custom-pipeline-policy", "maybe", ErrorCode::InvalidConfig),
        ] {
            let error = read(property, text).unwrap_err();
            assert_eq!(error.code, code, "{property}={text}");
            assert!(error.message.contains(property), "{error}");
        }
    }
}
