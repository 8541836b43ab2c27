//! Text from outside, made fit to be told and logged: without secrets, without control characters, and not too long.

/// Ends of the names of values that are secret.
const SECRETS: [&str; 6] = ["password", "passwd", "pwd", "secret", "token", "key"];
/// Longest text that is passed on, in characters.
const MAX_TEXT: usize = 512;
const HIDDEN: &str = "***";

/// `user:password@` of addresses and the values of `password=`, `token=`, `key=` and their kin become `***`.
pub fn text(text: &str) -> String {
    let printable = text.chars().filter_map(|c| match c {
        c if c.is_whitespace() => Some(' '),
        c if c.is_control() => None,
        c => Some(c),
    });
    let printable: String = printable.collect();
    let redacted = hide_users(&hide_values(printable.trim()));
    match redacted.char_indices().nth(MAX_TEXT) {
        Some((end, _)) => format!("{}...", redacted.get(..end).unwrap_or_default()),
        None => redacted,
    }
}

/// Hides what follows `password=` and so on, up to the end of the word or of what is quoted.
fn hide_values(text: &str) -> String {
    let mut hidden = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('=') {
        hidden.push_str(before);
        hidden.push('=');
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        let name_start = before.trim_end_matches(is_name).len();
        let name = before.get(name_start..).unwrap_or_default().to_ascii_lowercase();
        rest = after;
        if SECRETS.iter().any(|secret| name.ends_with(secret)) {
            hidden.push_str(HIDDEN);
            let quote = after.chars().next().filter(|&c| c == '"' || c == '\'');
            let end = match quote {
                Some(quote) => after.char_indices().skip(1).find(|&(_, c)| c == quote).map(|(at, _)| at + 1),
                None => after.find(|c: char| c.is_whitespace() || "&;,\"'`)<>".contains(c)),
            };
            rest = end.and_then(|end| after.get(end..)).unwrap_or_default();
        }
    }
    hidden.push_str(rest);
    hidden
}

/// Hides who logs in, and how, in every address.
fn hide_users(text: &str) -> String {
    let mut hidden = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("://") {
        hidden.push_str(before);
        hidden.push_str("://");
        let address_end = after.find(char::is_whitespace).unwrap_or(after.len());
        let address = after.get(..address_end).unwrap_or_default();
        // Another address may follow without a space between them.
        let is_scheme = |c: char| c.is_ascii_alphanumeric() || "+-.".contains(c);
        let next =
            address.find("://").and_then(|at| address.get(..at)).map(|before| before.trim_end_matches(is_scheme));
        let own = next.unwrap_or(address);
        let shown = end_of_user(own).unwrap_or(0);
        if shown > 0 {
            hidden.push_str(HIDDEN);
        }
        rest = after.get(shown..).unwrap_or_default();
    }
    hidden.push_str(rest);
    hidden
}

/// Where `user:password` ends in what follows `://`: at an `@`. A password may hold a `/` that should have been escaped;
/// what stands before it is no port then.
fn end_of_user(address: &str) -> Option<usize> {
    let authority = address.split(['/', '?', '#']).next().unwrap_or_default();
    let has_port = |(_, port): (&str, &str)| port.bytes().all(|byte| byte.is_ascii_digit());
    authority.rfind('@').or_else(|| {
        let is_host = authority.rsplit_once(':').is_none_or(has_port);
        if is_host { None } else { address.rfind('@') }
    })
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
            ("rtsp://cam/stream@1", "rtsp://cam/stream@1"),
            ("rtsp://cam/1?a=b&Access_Token=abc&key=1&last", "rtsp://cam/1?a=b&Access_Token=***&key=***&last"),
            ("cannot open 'rtsp://u:p@cam/1', gave up", "cannot open 'rtsp://***@cam/1', gave up"),
            ("rtsp://a:b@c/1,rtsp://d:e@f/2", "rtsp://***@c/1,rtsp://***@f/2"),
            ("login password=\"my pet\" failed, token=abc; ok", "login password=*** failed, token=***; ok"),
            ("password=", "password=***"),
            ("token='open end", "token=***"),
            ("fps=25 size=1", "fps=25 size=1"),
        ] {
            assert_eq!(text(given), redacted);
        }
    }

    #[test]
    fn control_characters_go_and_any_language_stays() {
        assert_eq!(text(" rtsp://cam/\u{1b}[31m1\n"), "rtsp://cam/[31m1");
        assert_eq!(text("one\ntwo\u{0}\u{85}three\u{7f}"), "one two three");
        for given in ["Kamera Süd", "カメラ://пользователь:пароль", "🎥=🎥", "ключ=значение", "=", "://", "@://@"]
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
