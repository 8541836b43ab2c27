//! Text from outside, made fit to be told and logged: without secrets, without control characters, and not too long.
//!
//! What is secret is guessed from the text alone, and rather too much is hidden than too little: who logs in, in every
//! address; the values of names such as `password`; the rest of a line after `Authorization:`.

use std::ops::Range;

/// Ends of the names of values that are secret.
const SECRETS: [&str; 15] = [
    "password",
    "passwd",
    "passphrase",
    "pass",
    "pwd",
    "pw",
    "secret",
    "token",
    "key",
    "credential",
    "credentials",
    "auth",
    "signature",
    "sig",
    "jwt",
];
/// Ends of the names of headers that are secret to the end of their line.
const HEADERS: [&str; 2] = ["authorization", "cookie"];
/// What follows a scheme, as it is and as it is escaped in another address or in JSON.
const SCHEME_ENDS: [&str; 5] = ["://", ":\\/\\/", "%3a%2f%2f", "%3a//", "%253a%252f%252f"];
/// What ends `user:password`, in the same ways.
const AT_SIGNS: [&str; 3] = ["@", "%40", "%2540"];
const QUOTES: &str = "\"'`";
/// What may stand right before an address or after a value, and belongs to neither.
const BRACKETS: &str = "\"'`()<>[]{},;|";
/// Longest text that is passed on, in characters.
const MAX_TEXT: usize = 512;
const HIDDEN: &str = "***";

/// One line without secrets, of at most 512 characters and three dots.
pub fn text(text: &str) -> String {
    let redacted: String = secrets(text).chars().map(|c| if c == '\n' { ' ' } else { c }).collect();
    match redacted.char_indices().nth(MAX_TEXT) {
        Some((end, _)) => format!("{}...", redacted.get(..end).unwrap_or_default()),
        None => redacted,
    }
}

/// The text without secrets and control characters, with its lines and at its length.
pub fn secrets(text: &str) -> String {
    let printable = text.trim().chars().filter_map(|c| match c {
        '\n' => Some('\n'),
        c if c.is_whitespace() => Some(' '),
        c if c.is_control() => None,
        c => Some(c),
    });
    let printable: Vec<char> = printable.collect();
    let plain: Vec<char> = printable.iter().copied().map(plain).collect();
    let mut hidden = values(&plain);
    hidden.extend(users(&plain));
    hidden.sort_by_key(|range| range.start);
    let mut redacted = String::with_capacity(printable.len());
    let mut shown_from = 0;
    let mut last_end = None;
    for range in hidden {
        if last_end.is_none_or(|end| range.start > end) {
            redacted.extend(printable.get(shown_from..range.start).unwrap_or_default());
            redacted.push_str(HIDDEN);
        }
        shown_from = shown_from.max(range.end);
        last_end = Some(shown_from);
    }
    redacted.extend(printable.get(shown_from..).unwrap_or_default());
    redacted
}

/// The character by which to look for words: ASCII in lower case, also for what only looks like it.
fn plain(c: char) -> char {
    match c {
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(c as u32 - 0xfee0).unwrap_or(c).to_ascii_lowercase(),
        '\u{212a}' => 'k',
        '\u{17f}' => 's',
        c => c.to_ascii_lowercase(),
    }
}

/// What follows `password=`, `"token": ` and so on.
fn values(text: &[char]) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut from = 0;
    let mut line_end = 0;
    while let Some(at) = position(text, from, |c| matches!(c, '=' | ':' | ',')) {
        from = at + 1;
        if line_end < from {
            line_end = end_of_line(text, from);
        }
        let separator = text.get(at).copied().unwrap_or_default();
        let name = name_before(text.get(..at).unwrap_or_default());
        if ends_with_any(name, &HEADERS) {
            found.push(skip_spaces(text, from)..line_end);
            from = line_end;
        } else if separator != ',' && ends_with_any(name, &SECRETS) {
            let value = value(text, from, separator, line_end);
            // What looks like its closing quote may be the opening one of another value, which begins inside of it then.
            if separator != ':' || value.end == line_end {
                from = value.end.max(from);
            }
            found.push(value);
        }
    }
    found
}

/// The word that ends there, before spaces, quotes and backslashes.
fn name_before(text: &[char]) -> &[char] {
    let end = text.iter().rposition(|&c| !(c == ' ' || c == '\\' || QUOTES.contains(c))).map_or(0, |last| last + 1);
    let text = text.get(..end).unwrap_or_default();
    let start = text.iter().rposition(|&c| !(c.is_alphanumeric() || c == '_' || c == '-')).map_or(0, |last| last + 1);
    text.get(start..).unwrap_or_default()
}

/// The value that begins there: what is quoted, or up to where it must have ended.
fn value(text: &[char], from: usize, separator: char, line_end: usize) -> Range<usize> {
    let start = skip_spaces(text, from).min(line_end);
    let typed = skip_type(text, start);
    let backslashes = text.get(typed..line_end).unwrap_or_default().iter().take_while(|&&c| c == '\\').count();
    let opening = typed + backslashes;
    let end = match text.get(opening).copied().filter(|&c| opening < line_end && QUOTES.contains(c)) {
        // A password may hold what looks like its closing quote: with `=` it goes on to the end of the word.
        Some(quote) if separator == '=' => {
            end_of_word(text, closing_quote(text, opening + 1, line_end, quote, backslashes), line_end)
        }
        Some(quote) => closing_quote(text, opening + 1, line_end, quote, backslashes),
        None if separator == ':' => line_end,
        None => end_of_word(text, start, line_end),
    };
    start..end
}

/// Behind `(string)`, as GStreamer writes the type of a value, perhaps with backslashes.
fn skip_type(text: &[char], from: usize) -> usize {
    let start = position(text, from, |c| c != '\\').unwrap_or(from);
    if text.get(start) != Some(&'(') {
        return from;
    }
    match position(text, start + 1, |c| !(c.is_alphanumeric() || c == '\\' || c == '-' || c == '_')) {
        Some(end) if text.get(end) == Some(&')') => end + 1,
        _ => from,
    }
}

/// Behind the quote that is escaped as often as the first one was; the end of the line where there is none.
fn closing_quote(text: &[char], from: usize, line_end: usize, quote: char, backslashes: usize) -> usize {
    let mut escapes = 0;
    for (at, &c) in text.iter().enumerate().take(line_end).skip(from) {
        match c {
            '\\' => escapes += 1,
            c if c == quote && escapes == backslashes => return at + 1,
            _ => escapes = 0,
        }
    }
    line_end
}

/// At a space that is not escaped or at the next part of a query; brackets that end it are not of it.
fn end_of_word(text: &[char], from: usize, line_end: usize) -> usize {
    let mut end = from;
    let mut escaped = false;
    for &c in text.get(from..line_end).unwrap_or_default() {
        if c == '&' || (c == ' ' && !escaped) {
            break;
        }
        escaped = c == '\\';
        end += 1;
    }
    let word = text.get(from..end).unwrap_or_default();
    end - word.iter().rev().take_while(|&&c| BRACKETS.contains(c)).count()
}

/// What stands before the `@` of every address, with and without a scheme.
fn users(text: &[char]) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut from = 0;
    while let Some(start) = position(text, from, |c| !c.is_whitespace()) {
        let end = position(text, start, char::is_whitespace).unwrap_or(text.len());
        from = end;
        // What looks like another address in the same word may as well be the password of the first.
        if let Some(address) = scheme_end(text, start, end) {
            let user_end = user_end(text, address, end).or_else(|| user_end_after_space(text, address, end));
            found.extend(user_end.map(|user_end| address..user_end));
            from = user_end.map_or(end, |user_end| user_end.max(end));
        } else {
            found.extend(user_without_scheme(text, start, end));
        }
    }
    found.retain(|range| !range.is_empty());
    found
}

/// Where the first scheme of a word ends.
fn scheme_end(text: &[char], start: usize, end: usize) -> Option<usize> {
    (start..end).find_map(|at| SCHEME_ENDS.iter().find(|mark| has(text, at, end, mark)).map(|mark| at + mark.len()))
}

/// At the last `@`, if it can end a login: a password may hold `/`, `?` and `@` that should have been escaped.
fn user_end(text: &[char], address: usize, end: usize) -> Option<usize> {
    let at_sign = last_at_sign(text, address, end)?;
    let login = text.get(address..at_sign).unwrap_or_default();
    let is_path = login.iter().any(|c| "/?#".contains(*c)) && !has_colon(login);
    (!is_path).then_some(at_sign)
}

/// The same for a password with a space in it: what stands before the space can be no host.
fn user_end_after_space(text: &[char], address: usize, end: usize) -> Option<usize> {
    let word = text.get(address..end).unwrap_or_default();
    let authority = word.split(|c| "/?#".contains(*c)).next().unwrap_or_default();
    let colon = authority.iter().rposition(|&c| c == ':')?;
    if authority.get(colon + 1..).unwrap_or_default().iter().all(|c| c.is_ascii_digit() || BRACKETS.contains(*c)) {
        return None;
    }
    last_at_sign(text, end, end_of_line(text, end))
}

/// `user:password@` in a word without a scheme.
fn user_without_scheme(text: &[char], start: usize, end: usize) -> Option<Range<usize>> {
    let at_sign = last_at_sign(text, start, end)?;
    let colon = position(text, start, |c| c == ':').filter(|&colon| colon < at_sign)?;
    let before = text.get(start..colon).unwrap_or_default();
    let user =
        before.iter().rposition(|&c| c == '/' || c == '=' || BRACKETS.contains(c)).map_or(start, |at| start + at + 1);
    Some(user..at_sign)
}

fn last_at_sign(text: &[char], start: usize, end: usize) -> Option<usize> {
    (start..end).rev().find(|&at| AT_SIGNS.iter().any(|mark| has(text, at, end, mark)))
}

/// Whether that stands there, in ASCII.
fn has(text: &[char], at: usize, end: usize, mark: &str) -> bool {
    let there = text.get(at..end).unwrap_or_default();
    there.len() >= mark.len() && there.iter().copied().zip(mark.chars()).all(|(a, b)| a == b)
}

fn contains(text: &[char], mark: &str) -> bool {
    (0..text.len()).any(|at| has(text, at, text.len(), mark))
}

/// As it is or escaped.
fn has_colon(text: &[char]) -> bool {
    text.contains(&':') || contains(text, "%3a")
}

fn ends_with_any(name: &[char], ends: &[&str]) -> bool {
    ends.iter().any(|end| name.len().checked_sub(end.len()).is_some_and(|at| has(name, at, name.len(), end)))
}

fn position(text: &[char], from: usize, wanted: impl Fn(char) -> bool) -> Option<usize> {
    text.get(from..)?.iter().position(|&c| wanted(c)).map(|at| from + at)
}

fn skip_spaces(text: &[char], from: usize) -> usize {
    position(text, from, |c| c != ' ').unwrap_or(text.len())
}

fn end_of_line(text: &[char], from: usize) -> usize {
    position(text, from, |c| c == '\n').unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_do_not_get_out() {
        for (given, redacted) in [
            ("rtsp://cam:554/1", "rtsp://cam:554/1"),
            ("rtsp://user:pw@cam:554/1", "rtsp://***@cam:554/1"),
            ("rtsp://user@cam/1", "rtsp://***@cam/1"),
            ("rtsp://user:p@w@cam/1", "rtsp://***@cam/1"),
            ("rtsp://user:p/w@cam/1", "rtsp://***@cam/1"),
            ("rtsp://user:p?w@cam/1", "rtsp://***@cam/1"),
            ("rtsp://user:12/34@cam/1", "rtsp://***@cam/1"),
            ("rtsp://user:p:w#%40%2f@cam/1", "rtsp://***@cam/1"),
            ("rtsp://user:a://b@cam/1", "rtsp://***@cam/1"),
            ("rtsp://user:my pet@cam/1 is gone", "rtsp://***@cam/1 is gone"),
            ("rtsp://cam/stream@1", "rtsp://cam/stream@1"),
            ("rtsp://cam/1?a=b&Access_Token=abc&key=1&last", "rtsp://cam/1?a=b&Access_Token=***&key=***&last"),
            ("cannot open 'rtsp://u:p@cam/1', gave up", "cannot open 'rtsp://***@cam/1', gave up"),
            ("rtsp://a:b@c/1 rtsp://d:e@f/2", "rtsp://***@c/1 rtsp://***@f/2"),
            ("rtsp://a:b@c/1,rtsp://d:e@f/2", "rtsp://***@f/2"),
            ("rtsp://user:ab|rtsp://|c@cam/1", "rtsp://***@cam/1"),
            ("rtsp://user:a@b|rtsp://c@cam/1", "rtsp://***@cam/1"),
            ("rtsp://user:ab rtsp://c@cam/1", "rtsp://***@cam/1"),
            ("rtsp://user:=x://c/pw@cam/1", "rtsp://***@cam/1"),
            ("rtsp://user:'ab://x@cam/1", "rtsp://***@cam/1"),
            ("rtsp://user:=rtsp://c/pw@cam/1", "rtsp://***@cam/1"),
            ("login password=\"my pet\" failed, token=abc; ok", "login password=*** failed, token=***; ok"),
            ("http://cam/?password=\"}\"}pw&x=1", "http://cam/?password=***&x=1"),
            ("password=", "password=***"),
            ("token='open end", "token=***"),
            ("token:\"'2::, http://cam/?password=token:\"'2:,SECRET", "token:***"),
            ("{\"token\": \"a\", \"key\": \"b\", \"x\": 1}", "{\"token\": ***, \"key\": ***, \"x\": 1}"),
            ("fps=25 size=1", "fps=25 size=1"),
        ] {
            assert_eq!(text(given), redacted);
        }
    }

    /// Each in several of the ways in which programs write it.
    #[test]
    fn a_password_of_any_characters_is_hidden_wherever_it_is_written() {
        for password in
            ["hunter2", "hun/ter2", "hun@ter2", "hun:ter2", "h?n&ter2", "hun%2Fter2", "hün'ter2", "hun,t)qq;2"]
        {
            for (before, after) in [
                ("rtsp://user:", "@cam/1"),
                ("RTSPS://Üser:", "@cam:554/1?x=1"),
                ("location=rtsp://user:", "@cam/1 ! fakesink"),
                ("//user:", "@cam/1"),
                ("user:", "@cam"),
                ("rtsp:\\/\\/user:", "@cam"),
                ("http://proxy/?to=rtsp%3A%2F%2Fuser%3A", "%40cam%2F1"),
                ("Authorization: Basic ", ""),
                ("\u{1b}[1mPROXY-AUTHORIZATION:Digest username=\"u\", response=\"", "\""),
                ("key: 'Authorization', value: 'Basic ", "'"),
                ("Set-Cookie: session=", ""),
                ("user-pw=(string)\"", "\""),
                ("feed, uri=(string)\"rtsp://cam\", user\\_pw\\=\\(string\\)\\\"", "\\\""),
                ("{\"Password\" : \"", "\"}"),
                ("pass: ", ""),
            ] {
                let given = format!("before {before}{password}{after}\nbehind");
                let shown = text(&given);
                let parts = password.split(|c: char| !c.is_alphanumeric());
                for part in parts.filter(|part| part.len() > 1).chain([password]) {
                    assert!(!shown.contains(part), "{given} became {shown}");
                }
                assert!(
                    shown.contains("before") && shown.contains("***") && shown.contains("behind"),
                    "{given}: {shown}"
                );
            }
        }
        for name in
            ["password", "PassWord", "PASSWORD", "pa\u{17f}sword", "ｐａｓｓｗｏｒｄ", "to\u{212a}en", "pass\u{0}word"]
        {
            for password in ["hunter2", "hun/ter2", "hun@ter2", "hun,ter2", "(string)hunter2", "hun%20ter2", "пароль"]
            {
                let shown = text(&format!("http://cam/?{name}={password}&next=1 end"));
                assert!(shown.ends_with("=***&next=1 end"), "{shown}");
            }
        }
    }

    #[test]
    fn control_characters_go_and_any_language_stays() {
        assert_eq!(text(" rtsp://cam/\u{1b}[31m1\n"), "rtsp://cam/[31m1");
        assert_eq!(text("one\ntwo\u{0}\u{85}three\u{7f}"), "one two three");
        assert_eq!(secrets("one\r\ntoken: two\nthree"), "one \ntoken: ***\nthree");
        for given in
            ["Kamera Süd", "カメラ://пользователь:пароль", "🎥=🎥", "ключ=значение", "=", "://", "@://@", "12:30 a@b"]
        {
            assert_eq!(text(given), given);
        }
        assert_eq!(text("rtsp://пользователь:пароль@камера/ü"), "rtsp://***@камера/ü");
        assert_eq!(text("ü_token=żółć&🎥"), "ü_token=***&🎥");
    }

    #[test]
    fn long_text_is_cut_between_characters() {
        for c in ["a", "ü", "カ", "🎥"] {
            let cut = text(&c.repeat(10_000));
            assert_eq!(cut.chars().count(), MAX_TEXT + 3);
            assert!(cut.ends_with("..."));
        }
    }
}
