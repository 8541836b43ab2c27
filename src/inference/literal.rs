//! Python literals, as exporters write them into a model with `str(value)`: class names and picture sizes.
//!
//! Of Python only what such values need is read: one `dict`, `list` or `tuple` of strings and plain words, not
//! nested. JSON written by `json.dumps` reads the same way. The text comes out of a file that anybody may have made,
//! so everything is bounded and nothing recurses.

use super::labels::MAX_LABELS;

/// Longest text that is looked at, in bytes.
const MAX_BYTES: usize = 4 << 20;

/// Class names: `{0: 'person', 1: "driver's seat"}` or `['person', 'bicycle']`. A class that a `dict` leaves out has
/// an empty name.
pub(super) fn names(text: &str) -> Result<Vec<String>, String> {
    if text.len() > MAX_BYTES {
        return Err(format!("it is longer than {} MiB", MAX_BYTES >> 20));
    }
    let mut reader = Reader { text, at: 0 };
    let (close, keyed) = if reader.eat('{') {
        ('}', true)
    } else if reader.eat('[') {
        (']', false)
    } else if reader.eat('(') {
        (')', false)
    } else {
        return Err(reader.unexpected("`{` or `[`"));
    };

    let mut names: Vec<String> = Vec::new();
    while !reader.eat(close) {
        let class = if keyed { reader.class()? } else { names.len() };
        if class >= MAX_LABELS {
            return Err(format!("it names class {class}, and more than {MAX_LABELS} classes are not read"));
        }
        let name = reader.scalar()?;
        if class >= names.len() {
            names.resize(class + 1, String::new());
        }
        if let Some(place) = names.get_mut(class) {
            *place = name;
        }
        if !reader.eat(',') {
            reader.expect(close)?;
            break;
        }
    }
    reader.end()?;
    Ok(names)
}

/// A picture's size as `(height, width)` in pixels, from `[480, 640]`, `(480, 640)` or, for a square, `640`.
pub(super) fn size(text: &str) -> Result<(usize, usize), String> {
    let fault = || "it is not `[height, width]` or one number, in pixels".to_owned();
    let inner = text.trim().trim_start_matches(['[', '(']).trim_end_matches([']', ')']);
    let mut sides = inner.splitn(3, ',').map(str::trim).filter(|side| !side.is_empty()).map(|side| side.parse().ok());
    match (sides.next(), sides.next(), sides.next()) {
        (Some(Some(side)), None, _) => Ok((side, side)),
        (Some(Some(height)), Some(Some(width)), None) => Ok((height, width)),
        _ => Err(fault()),
    }
}

struct Reader<'a> {
    text: &'a str,
    /// In bytes; always between two characters.
    at: usize,
}

impl Reader<'_> {
    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn skip_space(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start().len();
    }

    fn next(&mut self) -> Option<char> {
        let next = self.rest().chars().next()?;
        self.at += next.len_utf8();
        Some(next)
    }

    /// Goes past `wanted`, if that is what comes next.
    fn eat(&mut self, wanted: char) -> bool {
        self.skip_space();
        let there = self.rest().starts_with(wanted);
        if there {
            self.at += wanted.len_utf8();
        }
        there
    }

    fn expect(&mut self, wanted: char) -> Result<(), String> {
        if self.eat(wanted) { Ok(()) } else { Err(self.unexpected(&format!("`{wanted}`"))) }
    }

    fn end(&mut self) -> Result<(), String> {
        self.skip_space();
        if self.rest().is_empty() { Ok(()) } else { Err(self.unexpected("the end")) }
    }

    fn unexpected(&self, wanted: &str) -> String {
        match self.rest().chars().next() {
            Some(found) => format!("{wanted} is missing at byte {}, before `{}`", self.at, found.escape_debug()),
            None => format!("it ends where {wanted} is missing"),
        }
    }

    /// A key of a `dict` of class names, with its colon: `0:` or `'0':`.
    fn class(&mut self) -> Result<usize, String> {
        let key = self.scalar()?;
        let class = key.parse().map_err(|_| format!("`{}` is not the number of a class", key.escape_debug()))?;
        self.expect(':')?;
        Ok(class)
    }

    /// A string in quotes, or a word such as `7`, `-1.5` or `True` as it is written.
    fn scalar(&mut self) -> Result<String, String> {
        self.skip_space();
        match self.rest().chars().next() {
            Some(quote @ ('\'' | '"')) => {
                self.at += quote.len_utf8();
                self.string(quote)
            }
            _ => {
                let rest = self.rest();
                let end = rest.find(|c: char| !c.is_alphanumeric() && !"_.+-".contains(c)).unwrap_or(rest.len());
                let word = rest.get(..end).unwrap_or_default().to_owned();
                if word.is_empty() {
                    return Err(self.unexpected("a value"));
                }
                self.at += end;
                Ok(word)
            }
        }
    }

    /// The rest of a string up to and with its closing quote. Escapes are Python's (the language reference, "String
    /// and Bytes literals"), without octal ones and `\N{...}`, which `repr` never writes.
    fn string(&mut self, quote: char) -> Result<String, String> {
        let unclosed = || "a string has no end".to_owned();
        let mut value = String::new();
        loop {
            match self.next().ok_or_else(unclosed)? {
                c if c == quote => return Ok(value),
                '\\' => match self.next().ok_or_else(unclosed)? {
                    c @ ('\\' | '\'' | '"' | '/') => value.push(c),
                    'n' => value.push('\n'),
                    't' => value.push('\t'),
                    'r' => value.push('\r'),
                    'x' => value.push(self.code(2)?),
                    'u' => value.push(self.code(4)?),
                    'U' => value.push(self.code(8)?),
                    // As Python does with an escape that it does not know.
                    c => value.extend(['\\', c]),
                },
                c => value.push(c),
            }
        }
    }

    /// A character by `digits` hexadecimal digits. Half of a surrogate pair, which JSON may hold, is no character.
    fn code(&mut self, digits: usize) -> Result<char, String> {
        let code = self.rest().get(..digits).and_then(|hex| u32::from_str_radix(hex, 16).ok());
        let code = code.ok_or_else(|| self.unexpected(&format!("a character of {digits} hexadecimal digits")))?;
        self.at += digits;
        Ok(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_as_exporters_write_them() {
        let cases: [(&str, &[&str]); 10] = [
            ("{0: 'person', 1: 'sea lion'}", &["person", "sea lion"]),
            ("{0: \"driver's seat\", 1: 'a \"b\"'}", &["driver's seat", "a \"b\""]),
            (r#"{0: 'it\'s "it"', 1: 'back\\slash', 2: 'a\tb'}"#, &["it's \"it\"", "back\\slash", "a\tb"]),
            ("['person', 'bicycle',]", &["person", "bicycle"]),
            ("('person',)", &["person"]),
            (r#"{"0": "Stra\u00dfe", "1": "a\/b"}"#, &["Straße", "a/b"]),
            ("{0: 'Äpfel, {rot}', 1: '苹果: 🍎'}", &["Äpfel, {rot}", "苹果: 🍎"]),
            (r"{0: '\xe4\U0001f34e', 1: '\ud83c', 2: '\q'}", &["ä🍎", "\u{fffd}", "\\q"]),
            ("{ 0 : 0 , 1 : -1.5 , 2:True }", &["0", "-1.5", "True"]),
            ("{}", &[]),
        ];
        for (text, expected) in cases {
            assert_eq!(names(text).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn classes_may_come_in_any_order_and_leave_gaps() {
        assert_eq!(names("{3: 'd', 1: 'b', 1: 'B'}").unwrap(), ["", "B", "", "d"]);
    }

    #[test]
    fn what_is_no_list_of_names_says_why() {
        let cases = [
            ("", "ends"),
            ("person", "`{` or `[`"),
            ("{0: 'person'", "`}`"),
            ("{0: 'person", "no end"),
            ("{0: 'person\\", "no end"),
            ("{0 'person'}", "`:`"),
            ("{0: }", "a value"),
            ("{'a': 'b'}", "not the number of a class"),
            ("{-1: 'b'}", "not the number of a class"),
            ("{99999999999999999999999: 'b'}", "not the number of a class"),
            ("{65536: 'b'}", "65536"),
            ("{18446744073709551615: 'b'}", "more than"),
            ("{0: ['a']}", "a value"),
            ("{0: 'a'} x", "the end"),
            ("['a' 'b']", "`]`"),
            ("['\\x4']", "2 hexadecimal"),
            ("['\\xé']", "2 hexadecimal"),
            ("['\\u12", "4 hexadecimal"),
            ("[\u{1b}]", "u{1b}"),
        ];
        for (text, reason) in cases {
            let error = names(text).unwrap_err();
            assert!(error.contains(reason), "{text:?}: {error}");
        }
        let deep = "[".repeat(1 << 20);
        assert!(names(&deep).is_err());
        assert!(names(&" ".repeat(MAX_BYTES + 1)).unwrap_err().contains("longer"));
        assert!(names(&format!("[{}]", "0,".repeat(MAX_LABELS + 1))).unwrap_err().contains("more than"));
    }

    #[test]
    fn no_cut_of_a_valid_text_panics() {
        let text = r#"{0: 'a\xe4\u00df\U0001f34e', "1": "苹\'果", 2: ü}"#;
        for end in (0..=text.len()).filter(|&end| text.is_char_boundary(end)) {
            assert_eq!(names(&text[..end]).is_ok(), end == text.len(), "{}", &text[..end]);
        }
    }

    #[test]
    fn sizes() {
        assert_eq!(size("[480, 640]"), Ok((480, 640)));
        assert_eq!(size("(480,640)"), Ok((480, 640)));
        assert_eq!(size(" 640 "), Ok((640, 640)));
        assert_eq!(size("[640]"), Ok((640, 640)));
        for text in ["", "[]", "[640, x]", "[1, 2, 3]", "-640", "[640.5, 640]", "[99999999999999999999, 1]", "é"] {
            assert!(size(text).is_err(), "{text}");
        }
    }
}
