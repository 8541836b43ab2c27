//! The properties that say which parts of a frame a linked `nvbatch` infers.

use glib::{ParamFlags, ParamSpec, ParamSpecBuilderExt, Value, value::ToValue};

use crate::runtime::RegionSettings;

/// Their specifications; [`set`] and [`get`] know each of them.
pub fn specs() -> Vec<ParamSpec> {
    let d = RegionSettings::default();
    let playing = ParamFlags::READWRITE | gst::PARAM_FLAG_MUTABLE_PLAYING;
    vec![
        glib::ParamSpecEnum::builder_with_default("region", d.kind)
            .nick("Region")
            .blurb("What of a frame is inferred, when linked")
            .flags(playing)
            .build(),
        glib::ParamSpecFloat::builder("region-margin")
            .nick("Region margin")
            .blurb("Added to an object on each side, as a fraction of its size (region=objects)")
            .minimum(0.0)
            .maximum(10.0)
            .default_value(d.margin)
            .flags(playing)
            .build(),
        glib::ParamSpecString::builder("object-class")
            .nick("Object class")
            .blurb("Labels of the objects that are inferred, with commas between (empty = all; region=objects)")
            .default_value(Some(&*d.object_class))
            .flags(playing)
            .build(),
        glib::ParamSpecUInt::builder("reclassify-interval")
            .nick("Reclassify interval")
            .blurb("An object with a track ID is inferred every n-th frame and keeps its classes until then (0 and 1 = in each; region=objects)")
            .default_value(d.reclassify_interval)
            .flags(playing)
            .build(),
    ]
}

/// Sets the property if it is one of [`specs`].
pub fn set(settings: &mut RegionSettings, name: &str, value: &Value) -> bool {
    fn put<'a, T: glib::value::FromValue<'a>>(field: &mut T, value: &'a Value) {
        // GObject has checked the type by its specification.
        if let Ok(value) = value.get() {
            *field = value;
        }
    }
    match name {
        "region" => put(&mut settings.kind, value),
        "region-margin" => put(&mut settings.margin, value),
        "object-class" => {
            settings.object_class = value.get::<Option<&str>>().ok().flatten().unwrap_or_default().into();
        }
        "reclassify-interval" => put(&mut settings.reclassify_interval, value),
        _ => return false,
    }
    true
}

/// Its value, if it is one of [`specs`].
pub fn get(settings: &RegionSettings, name: &str) -> Option<Value> {
    Some(match name {
        "region" => settings.kind.to_value(),
        "region-margin" => settings.margin.to_value(),
        "object-class" => (*settings.object_class).to_value(),
        "reclassify-interval" => settings.reclassify_interval.to_value(),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_property_can_be_read_and_written_and_starts_at_its_default() {
        gst::init().unwrap();
        let mut settings = RegionSettings::default();
        for spec in specs() {
            let value = get(&settings, spec.name()).unwrap_or_else(|| panic!("{} cannot be read", spec.name()));
            assert_eq!(format!("{value:?}"), format!("{:?}", spec.default_value()), "{}", spec.name());
            assert!(set(&mut settings, spec.name(), &value), "{} cannot be written", spec.name());
        }
        assert_eq!(settings, RegionSettings::default());
        assert!(!set(&mut settings, "colour", &5u32.into()) && get(&settings, "colour").is_none());
    }

    #[test]
    fn labels_stand_between_commas_and_none_means_all() {
        let mut settings = RegionSettings::default();
        assert!(settings.wants("circle") && settings.wants(""));
        set(&mut settings, "object-class", &"circle, star shape,".to_value());
        assert!(settings.wants("circle") && settings.wants("star shape"));
        assert!(!settings.wants("star") && !settings.wants("") && !settings.wants("Circle"));
        set(&mut settings, "object-class", &None::<String>.to_value());
        assert!(settings.wants("square"));
        set(&mut settings, "object-class", &" , ".to_value());
        assert!(settings.wants("square"), "no label is no restriction");
    }
}
