//! The names of a model's classes.

/// More classes than any model has (ImageNet-21k: 21843); bounds what hostile metadata can ask for.
pub(super) const MAX_LABELS: usize = 65536;

/// Longest label in characters; what is longer is cut.
const MAX_CHARS: usize = 256;

/// One label a line, the line's number (from 0) being the class; empty lines at the end do not count. An empty line
/// in between is a class without a label.
pub(super) fn parse(text: &str) -> Result<Vec<String>, String> {
    let labels: Vec<String> = text.trim_end().lines().take(MAX_LABELS + 1).map(clean).collect();
    match labels.len() {
        0 => Err("it is empty; it has to hold one label a line".into()),
        count if count > MAX_LABELS => Err(format!("it holds more than {MAX_LABELS} lines")),
        _ => Ok(labels),
    }
}

/// A label as it may go into messages, structures and files: trimmed, without control characters, not too long.
pub(super) fn clean(label: &str) -> String {
    label.trim().chars().filter(|c| !c.is_control()).take(MAX_CHARS).collect()
}

/// What a user should know about `labels` that do not fit a model of `classes` classes.
pub(super) fn mismatch(labels: usize, classes: usize) -> Option<String> {
    if labels < classes {
        Some(format!(
            "There are {labels} labels for the model's {classes} classes: classes {labels} to {} are reported by their \
             number. Set labels= to a file with one line for each class.",
            classes - 1
        ))
    } else if labels > classes {
        Some(format!(
            "There are {labels} labels for the model's {classes} classes: those after the first {classes} are never \
             used. Check that the labels belong to this model."
        ))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_label_a_line_whatever_the_line_ends() {
        for text in ["cat\ndog\nsea lion", "cat\r\ndog\r\nsea lion\r\n", "cat \n\tdog\nsea lion\n\n \r\n"] {
            assert_eq!(parse(text).unwrap(), ["cat", "dog", "sea lion"]);
        }
    }

    #[test]
    fn an_empty_line_keeps_its_class() {
        assert_eq!(parse("\ncat\n\ndog\n").unwrap(), ["", "cat", "", "dog"]);
    }

    #[test]
    fn labels_are_fit_for_messages() {
        assert_eq!(parse("c\0a\u{1b}[31mt\nÄpfel 苹果").unwrap(), ["ca[31mt", "Äpfel 苹果"]);
        assert_eq!(clean(&"ä".repeat(1000)).chars().count(), MAX_CHARS);
    }

    #[test]
    fn too_few_and_too_many_lines_are_errors() {
        assert!(parse("").unwrap_err().contains("empty"));
        assert!(parse("\r\n \n").unwrap_err().contains("empty"));
        assert_eq!(parse(&"a\n".repeat(MAX_LABELS)).unwrap().len(), MAX_LABELS);
        assert!(parse(&"a\n".repeat(MAX_LABELS + 1)).unwrap_err().contains("65536"));
    }

    #[test]
    fn a_mismatch_says_which_classes_it_concerns() {
        assert_eq!(mismatch(3, 3), None);
        assert!(mismatch(3, 5).unwrap().contains("classes 3 to 4"));
        assert!(mismatch(5, 3).unwrap().contains("after the first 3"));
        assert_eq!(mismatch(0, 0), None);
    }
}
