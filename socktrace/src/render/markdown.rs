//! Markdown (that of CommonMark, with tables) from text that others chose: it stays text.

/// Text within a line or a cell. What would mean something is escaped.
pub(super) fn text(out: &mut Vec<u8>, text: &str) {
    for character in text.chars() {
        match character {
            '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '>' | '|' | '&' | '~' | '$' | '#' | '@' => {
                out.extend([b'\\', character as u8]);
            }
            _ if character.is_control() => out.push(b' '),
            _ => out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
}

/// What is copied whole. No backtick within ends it.
pub(super) fn code(out: &mut Vec<u8>, code: &str) {
    let longest = code.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest + 1);
    let pad = if longest > 0 { " " } else { "" };
    [&fence, pad, code, pad, &fence].iter().for_each(|part| out.extend_from_slice(part.as_bytes()));
}

/// A row of a table.
pub(super) fn row<'c>(out: &mut Vec<u8>, cells: impl IntoIterator<Item = &'c str>) {
    for cell in cells {
        out.extend_from_slice(b"| ");
        text(out, cell);
        out.push(b' ');
    }
    out.extend_from_slice(b"|\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn nothing_in_a_name_means_anything() {
        for (name, expected) in [
            ("nginx[7]", r"nginx\[7\]"),
            ("a|b\nc", r"a\|b c"),
            ("<img src=x>", r"\<img src=x\>"),
            (r"\|", r"\\\|"),
            ("é 10.0.0.1:80", "é 10.0.0.1:80"),
        ] {
            assert_eq!(written(|out| text(out, name)), expected);
        }
    }

    #[test]
    fn code_ends_where_it_ends() {
        assert_eq!(written(|out| code(out, "ss -t 'sport = :80'")), "`ss -t 'sport = :80'`");
        assert_eq!(written(|out| code(out, "a``b`")), "``` a``b` ```");
    }
}
