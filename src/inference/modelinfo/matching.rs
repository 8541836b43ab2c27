//! Which group of a `.modelinfo` is about which tensor of the model.

use super::super::{Error, ModelInterface, TensorSpec};
use super::{Direction, ModelInfo, TensorInfo};

/// For each tensor of the model, in its order, what the file says about it.
#[derive(Debug, PartialEq)]
pub(in crate::inference) struct Matches<'a> {
    pub inputs: Vec<Option<&'a TensorInfo>>,
    pub outputs: Vec<Option<&'a TensorInfo>>,
}

impl ModelInfo {
    /// Finds the group of each tensor by GStreamer's rule (`gst_analytics_modelinfo_find_tensor_name`): by its name;
    /// else the group at its index among those of its direction, if it fits; else the first one that has its type and
    /// dimensions. No group is taken twice, nor one that has another tensor's name.
    ///
    /// A group that has a tensor's name and contradicts it is an error, which names group and key.
    pub fn matches(&self, interface: &ModelInterface, warnings: &mut Vec<String>) -> Result<Matches<'_>, Error> {
        let mut taken = vec![false; self.tensors.len()];
        let mut inputs = self.named(&interface.inputs, Direction::Input, &mut taken)?;
        let mut outputs = self.named(&interface.outputs, Direction::Output, &mut taken)?;
        self.similar(&interface.inputs, Direction::Input, &mut inputs, &mut taken);
        self.similar(&interface.outputs, Direction::Output, &mut outputs, &mut taken);

        for (info, _) in self.tensors.iter().zip(&taken).filter(|(_, taken)| !**taken) {
            let known: Vec<_> = interface.inputs.iter().chain(&interface.outputs).map(TensorSpec::to_string).collect();
            let reason =
                format!("[{}] fits no tensor of the model and is ignored; it has {}", info.group, known.join(", "));
            warnings.push(self.warning(&reason));
        }
        Ok(Matches { inputs, outputs })
    }

    fn named(
        &self,
        tensors: &[TensorSpec],
        direction: Direction,
        taken: &mut [bool],
    ) -> Result<Vec<Option<&TensorInfo>>, Error> {
        let mut found = Vec::with_capacity(tensors.len());
        for tensor in tensors {
            let named = self.tensors.iter().zip(taken.iter_mut()).find(|(info, _)| info.group == tensor.name);
            found.push(match named {
                Some((info, taken)) => {
                    info.check(tensor, direction).map_err(|reason| self.error(reason))?;
                    *taken = true;
                    Some(info)
                }
                None => None,
            });
        }
        Ok(found)
    }

    /// Fills in the groups that have no tensor's name.
    fn similar<'a>(
        &'a self,
        tensors: &[TensorSpec],
        direction: Direction,
        found: &mut [Option<&'a TensorInfo>],
        taken: &mut [bool],
    ) {
        for (index, (tensor, found)) in tensors.iter().zip(found).enumerate().filter(|(_, (_, found))| found.is_none())
        {
            let mut candidates: Vec<(&TensorInfo, &mut bool)> = self
                .tensors
                .iter()
                .zip(taken.iter_mut())
                .filter(|(info, _)| info.direction == Some(direction))
                .collect();
            let fits = |(info, taken): &(&TensorInfo, &mut bool)| !**taken && info.check(tensor, direction).is_ok();
            let by_index = candidates.get(index).is_some_and(fits).then_some(index);
            let by_dims = || candidates.iter().position(|it| fits(it) && it.0.element.is_some() && it.0.dims.is_some());
            if let Some((info, taken)) = by_index.or_else(by_dims).and_then(|index| candidates.get_mut(index)) {
                **taken = true;
                *found = Some(*info);
            }
        }
    }
}

impl TensorInfo {
    /// Whether the group can be about `tensor`; the error names group and key.
    fn check(&self, tensor: &TensorSpec, direction: Direction) -> Result<(), String> {
        let fault = |key: &str, there: &str| Err(format!("[{}] {key} is not right: the model's {there}", self.group));
        if self.direction.is_some_and(|said| said != direction) {
            return fault(
                "dir",
                if direction == Direction::Input { "input has this name" } else { "output has this name" },
            );
        }
        if self.element.as_ref().is_some_and(|said| *said != tensor.element) {
            return fault("type", &format!("tensor is {tensor}"));
        }
        let agrees =
            |(said, there): (&Option<usize>, &Option<usize>)| said.is_none() || there.is_none() || said == there;
        if let Some(dims) = &self.dims
            && (dims.len() != tensor.dims.len() || !dims.iter().zip(&tensor.dims).all(agrees))
        {
            return fault("dims", &format!("tensor is {tensor}"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::image::tests::tensor;
    use super::super::parse;
    use super::*;

    /// An SSD: one input, two outputs.
    fn interface() -> ModelInterface {
        ModelInterface {
            inputs: vec![tensor("image", "uint8", &[-1, 300, 300, 3])],
            outputs: vec![tensor("boxes", "float32", &[-1, 100, 4]), tensor("scores", "float32", &[-1, 100])],
            ..ModelInterface::default()
        }
    }

    fn info(text: &str) -> ModelInfo {
        let text = format!("[modelinfo]\nversion=1.0\n{text}");
        let (_, tensors) = parse::parse(&text, &mut Vec::new()).unwrap();
        ModelInfo { path: "m.modelinfo".into(), tensors, ..ModelInfo::default() }
    }

    /// The groups of input, first and second output, `-` where there is none, and the number of warnings.
    fn matched(text: &str) -> Result<(String, usize), Error> {
        let (info, mut warnings) = (info(text), Vec::new());
        let matches = info.matches(&interface(), &mut warnings)?;
        let names = matches.inputs.iter().chain(&matches.outputs);
        let names: Vec<_> = names.map(|info| info.map_or("-", |info| info.group.as_str())).collect();
        Ok((names.join(" "), warnings.len()))
    }

    #[test]
    fn groups_are_found_by_name_then_by_index_then_by_type_and_dims() {
        let cases = [
            ("", "- - -", 0),
            ("[scores]\n[image]\n[boxes]\n", "image boxes scores", 0),
            ("[in]\ndir=input\n[a]\ndir=output\n[b]\ndir=output\n", "in a b", 0),
            // By index the first group would be the boxes'.
            ("[b]\ndir=output\ntype=float32\ndims=-1,100\n[a]\ndir=output\ntype=float32\ndims=-1,-1,4\n", "- a b", 0),
            // `scores` is not taken for the boxes, though it is the first output.
            ("[scores]\ndir=output\n[x]\ndir=output\n", "- - scores", 1),
            // A group fits one tensor only.
            ("[x]\ndir=output\ntype=float32\n", "- x -", 0),
            // No direction, no name: about nothing.
            ("[x]\ntype=uint8\n", "- - -", 1),
        ];
        for (text, names, warnings) in cases {
            assert_eq!(matched(text).unwrap(), (names.into(), warnings), "{text}");
        }
    }

    #[test]
    fn a_group_that_contradicts_its_tensor_is_an_error_with_group_and_key() {
        let cases = [
            ("[image]\ntype=float32\n", "[image] type"),
            ("[image]\ndims=1,300,300\n", "[image] dims"),
            ("[image]\ndims=-1,320,300,3\n", "[image] dims"),
            ("[image]\ndir=output\n", "[image] dir"),
            ("[boxes]\ndir=input\n", "[boxes] dir"),
        ];
        for (text, place) in cases {
            let error = matched(text).unwrap_err();
            assert!(error.message.contains(place) && error.message.contains("m.modelinfo"), "{error}");
        }
        assert!(matched("[image]\ndims=4,300,300,3\n").is_ok(), "it fills in what the model leaves open");
    }

    #[test]
    fn a_warning_lists_the_tensors_there_are() {
        let mut warnings = Vec::new();
        let info = info("[imaeg]\nfit=stretch\n");
        info.matches(&interface(), &mut warnings).unwrap();
        assert!(
            warnings[0].contains("[imaeg]") && warnings[0].contains("`image` uint8 [?, 300, 300, 3]"),
            "{warnings:?}"
        );
    }
}
