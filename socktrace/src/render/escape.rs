//! Names that other people chose, made safe to print.

/// A process name as `ss` prints it: it ends at a closing parenthesis, as the name in
/// /proc/PID/stat does for `ss`, control characters are dots and bytes beyond ASCII question marks.
pub fn process_name(out: &mut Vec<u8>, name: &[u8]) {
    let end = name.iter().position(|byte| *byte == b')').unwrap_or(name.len());
    out.extend(name[..end].iter().map(|byte| match byte {
        b' '..=b'~' => *byte,
        0..=0x7f => b'.',
        _ => b'?',
    }));
}

/// A path or an abstract name: `@` for NUL, dots for what would steer a terminal; text beyond
/// ASCII is left as it is.
pub fn path(out: &mut Vec<u8>, path: &[u8]) {
    let mut before = 0;
    out.extend(path.iter().map(|byte| {
        // 0xc2 0x80 to 0xc2 0x9f are the control characters U+0080 to U+009F.
        let steers = matches!(byte, 1..=0x1f | 0x7f) || before == 0xc2 && *byte < 0xa0;
        before = *byte;
        match byte {
            0 => b'@',
            _ if steers => b'.',
            _ => *byte,
        }
    }));
}

/// Makes dots of the control characters in text that is already written.
pub fn controls(text: &mut [u8]) {
    text.iter_mut().filter(|byte| byte.is_ascii_control()).for_each(|byte| *byte = b'.');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn process_names_are_those_of_ss() {
        for (name, expected) in [
            (&b"plain"[..], "plain"),
            (b"a\"b'c\\d e", "a\"b'c\\d e"),
            (b"tab\tnl\nq\x7f\x1b[31m", "tab.nl.q..[31m"),
            (b"\xc3\xa9\xff!", "???!"),
            (b"(sd-pam)", "(sd-pam"),
            (b"", ""),
        ] {
            let mut out = Vec::new();
            process_name(&mut out, name);
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
    }

    #[test]
    fn paths_keep_their_letters_and_lose_their_controls() {
        let mut out = Vec::new();
        path(&mut out, b"\0abs\0\xc3\xa9 \n\x1b[2J\xc2\x9b\"");
        assert_eq!(out, b"@abs@\xc3\xa9 ..[2J\xc2.\"");
    }
}
