//! Who computes: the execution providers of ONNX Runtime.

use ort::ep::{self, ArbitrarilyConfigurableExecutionProvider, ExecutionProvider as _};
use ort::session::builder::SessionBuilder;

use super::{Error, ErrorKind};

/// Who computes; the `execution-provider` property.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, glib::Enum)]
#[enum_type(name = "GstNvExecutionProvider")]
pub enum ExecutionProvider {
    /// The best that loads.
    #[default]
    #[enum_value(name = "The best that loads", nick = "auto")]
    Auto,
    #[enum_value(name = "CPU", nick = "cpu")]
    Cpu,
    #[enum_value(name = "CUDA", nick = "cuda")]
    Cuda,
    #[enum_value(name = "TensorRT", nick = "tensorrt")]
    Tensorrt,
    #[enum_value(name = "OpenVINO", nick = "openvino")]
    Openvino,
    #[enum_value(name = "MIGraphX", nick = "migraphx")]
    Migraphx,
    #[enum_value(name = "ROCm", nick = "rocm")]
    Rocm,
    #[enum_value(name = "oneDNN", nick = "onednn")]
    Onednn,
    #[enum_value(name = "XNNPACK", nick = "xnnpack")]
    Xnnpack,
    #[enum_value(name = "QNN", nick = "qnn")]
    Qnn,
}

impl ExecutionProvider {
    /// All that can be named: not `Auto`.
    const NAMED: [Self; 9] = [
        Self::Cpu,
        Self::Cuda,
        Self::Tensorrt,
        Self::Openvino,
        Self::Migraphx,
        Self::Rocm,
        Self::Onednn,
        Self::Xnnpack,
        Self::Qnn,
    ];

    /// What `Auto` tries, the fastest first.
    const BEST_FIRST: [Self; 5] = [Self::Tensorrt, Self::Cuda, Self::Migraphx, Self::Openvino, Self::Cpu];

    /// Whether it computes on the cores that everybody else uses as well.
    pub fn is_on_cpu(self) -> bool {
        matches!(self, Self::Auto | Self::Cpu | Self::Xnnpack | Self::Onednn)
    }

    /// Its name as a property's value.
    pub fn nick(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Cpu => "cpu",
            Self::Cuda => "cuda",
            Self::Tensorrt => "tensorrt",
            Self::Openvino => "openvino",
            Self::Migraphx => "migraphx",
            Self::Rocm => "rocm",
            Self::Onednn => "onednn",
            Self::Xnnpack => "xnnpack",
            Self::Qnn => "qnn",
        }
    }

    /// The providers to try, in order. One that is asked for by name and is not in the library is an error.
    ///
    /// ONNX Runtime is loaded before this is called.
    pub(super) fn candidates(self) -> Result<Vec<Self>, Error> {
        if self == Self::Auto {
            return Ok(Self::BEST_FIRST.into_iter().filter(|provider| provider.is_available()).collect());
        }
        if self.is_available() {
            return Ok(vec![self]);
        }
        let available: Vec<_> = Self::NAMED.into_iter().filter(|p| p.is_available()).map(Self::nick).collect();
        Err(Error::new(
            ErrorKind::ProviderUnavailable,
            format!(
                "this ONNX Runtime has no execution provider {}; it has {}. Set execution-provider to one of these, or \
                 ORT_DYLIB_PATH to a build of ONNX Runtime that has it",
                self.nick(),
                available.join(", "),
            ),
        ))
    }

    /// Whether the library was built with it. It may still not start, as without its device.
    fn is_available(self) -> bool {
        match self {
            Self::Auto | Self::Cpu => Ok(true),
            Self::Cuda => ep::CUDA::is_available(),
            Self::Tensorrt => ep::TensorRT::is_available(),
            Self::Openvino => ep::OpenVINO::is_available(),
            Self::Migraphx => ep::MIGraphX::is_available(),
            Self::Rocm => ep::ROCm::is_available(),
            Self::Onednn => ep::OneDNN::is_available(),
            Self::Xnnpack => ep::XNNPACK::is_available(),
            Self::Qnn => ep::QNN::is_available(),
        }
        .unwrap_or(false)
    }

    /// Makes sessions of `builder` compute with it. Providers that count their devices take `device_id`; the others
    /// are told by an option of theirs. ONNX Runtime checks the options.
    pub(super) fn register(
        self,
        builder: &mut SessionBuilder,
        device_id: i32,
        options: &[(String, String)],
    ) -> ort::Result<()> {
        match self {
            Self::Auto | Self::Cpu => Ok(()),
            Self::Cuda => with_options(ep::CUDA::default().with_device_id(device_id), options)?.register(builder),
            Self::Tensorrt => {
                with_options(ep::TensorRT::default().with_device_id(device_id), options)?.register(builder)?;
                // TensorRT leaves what it does not know to CUDA.
                ep::CUDA::default().with_device_id(device_id).register(builder)
            }
            Self::Openvino => with_options(ep::OpenVINO::default(), options)?.register(builder),
            Self::Migraphx => {
                without_options(self, options)?;
                ep::MIGraphX::default().with_device_id(device_id).register(builder)
            }
            Self::Rocm => with_options(ep::ROCm::default().with_device_id(device_id), options)?.register(builder),
            Self::Onednn => with_options(ep::OneDNN::default(), options)?.register(builder),
            Self::Xnnpack => with_options(ep::XNNPACK::default(), options)?.register(builder),
            Self::Qnn => with_options(ep::QNN::default(), options)?.register(builder),
        }
    }
}

fn with_options<P: ArbitrarilyConfigurableExecutionProvider>(
    mut provider: P,
    options: &[(String, String)],
) -> ort::Result<P> {
    for (key, value) in options {
        if key.contains('\0') || value.contains('\0') {
            return Err(ort::Error::new(format!("the option {key:?} or its value holds a NUL character")));
        }
        provider = provider.with_arbitrary_config(key, value);
    }
    Ok(provider)
}

fn without_options(provider: ExecutionProvider, options: &[(String, String)]) -> ort::Result<()> {
    match options.first() {
        Some((key, _)) => Err(ort::Error::new(format!("{} takes no option, yet {key:?} is set", provider.nick()))),
        None => Ok(()),
    }
}
