//! The alternate screen of a terminal, which is left as it was found.

use std::io::{self, Write};
use std::panic;

/// Another screen, without a cursor, on which long lines end at the edge.
const ENTER: &[u8] = b"\x1b[?1049h\x1b[?25l\x1b[?7l";
const LEAVE: &[u8] = b"\x1b[?7h\x1b[?25h\x1b[?1049l";
const HOME: &[u8] = b"\x1b[H";
const CLEAR_LINE: &[u8] = b"\x1b[K";
const CLEAR_BELOW: &[u8] = b"\x1b[J";
/// For a terminal that does not tell its size.
const USUAL: (usize, usize) = (80, 24);

pub(super) struct Screen(());

impl Screen {
    pub(super) fn enter() -> io::Result<Screen> {
        leave_at_panic();
        write(ENTER).map(|()| Screen(()))
    }

    /// Columns and lines.
    pub(super) fn size(&self) -> (usize, usize) {
        match rustix::termios::tcgetwinsize(io::stdout()) {
            Ok(size) if size.ws_col > 0 && size.ws_row > 0 => {
                (size.ws_col.into(), size.ws_row.into())
            }
            _ => USUAL,
        }
    }

    /// Draws over what is there, in one write, so that nothing flickers.
    pub(super) fn draw(&self, text: &[u8], height: usize) -> io::Result<()> {
        write(&frame(text, height))
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // With the terminal gone there is nothing to restore.
        let _ = write(LEAVE);
    }
}

/// A release ends at a panic without dropping anything.
fn leave_at_panic() {
    let tell = panic::take_hook();
    panic::set_hook(Box::new(move |what| {
        // Past the lock of stdout, which whoever panicked may hold.
        let _ = rustix::io::write(io::stdout(), LEAVE);
        tell(what);
    }));
}

fn write(bytes: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(bytes)?;
    out.flush()
}

/// As many lines as fit, and how many there are beyond.
fn frame(text: &[u8], height: usize) -> Vec<u8> {
    let lines: Vec<&[u8]> =
        text.strip_suffix(b"\n").unwrap_or(text).split(|b| *b == b'\n').collect();
    let fitting = if lines.len() <= height { lines.len() } else { height.saturating_sub(1) };
    let more = format!("... {} more lines", lines.len() - fitting);
    let shown = lines[..fitting].iter().copied();
    let all = shown.chain((fitting < lines.len()).then_some(more.as_bytes()));
    let mut frame = HOME.to_vec();
    for (i, line) in all.enumerate() {
        if i > 0 {
            frame.extend_from_slice(b"\r\n");
        }
        frame.extend_from_slice(line);
        frame.extend_from_slice(CLEAR_LINE);
    }
    frame.extend_from_slice(CLEAR_BELOW);
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str, height: usize) -> String {
        let frame = String::from_utf8(frame(text.as_bytes(), height)).unwrap();
        let inner = frame.strip_prefix("\x1b[H").unwrap().strip_suffix("\x1b[J").unwrap();
        inner.replace("\x1b[K", "")
    }

    #[test]
    fn what_does_not_fit_is_counted() {
        assert_eq!(lines("a\nb\nc\n", 3), "a\r\nb\r\nc");
        assert_eq!(lines("a\nb\nc\nd\n", 3), "a\r\nb\r\n... 2 more lines");
        assert_eq!(lines("", 3), "");
        assert_eq!(lines("a\nb\n", 1), "... 2 more lines");
    }
}
