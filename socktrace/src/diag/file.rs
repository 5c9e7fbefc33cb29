//! A TCP dump in a file, as `-D` writes it: netlink messages as they came from the kernel.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use super::attrs::align;
use super::inet::decode;
use super::transport::{HEADER, Message, Part, messages};
use super::{DiagError, Sink};
use crate::socket::{Socket, Table};

/// How a file ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum FileEnd {
    /// At the message that ends a dump.
    Done,
    /// Without one, between two messages.
    Missing,
    /// Amid a message.
    Truncated,
}

/// Hands the sockets of a file to `sink`, up to the first message that ends a dump.
pub fn read(path: &Path, sink: &mut Sink<'_>) -> Result<FileEnd, DiagError> {
    let file = File::open(path).map_err(DiagError::Read)?;
    read_from(&mut BufReader::new(file), sink)
}

fn read_from(reader: &mut dyn Read, sink: &mut Sink<'_>) -> Result<FileEnd, DiagError> {
    let mut message = Vec::with_capacity(1024);
    loop {
        message.clear();
        match fill(reader, &mut message, HEADER)? {
            Filled::Nothing => return Ok(FileEnd::Missing),
            Filled::Some => return Ok(FileEnd::Truncated),
            Filled::All => {}
        }
        let len = u32::from_ne_bytes([message[0], message[1], message[2], message[3]]);
        let Some(body) = align(len as usize).checked_sub(HEADER) else {
            return Err(DiagError::Damaged("a message is shorter than its header"));
        };
        if !matches!(fill(reader, &mut message, body)?, Filled::All) {
            return Ok(FileEnd::Truncated);
        }
        for message in messages(&message) {
            match read_message(&message?, sink)? {
                Part::Done => return Ok(FileEnd::Done),
                Part::Socket(_) | Part::Skip => {}
            }
        }
    }
}

fn read_message<'a>(message: &Message<'a>, sink: &mut Sink<'_>) -> Result<Part<'a>, DiagError> {
    let part = message.part()?;
    if let Part::Socket(payload) = part
        && let Some(socket) = decode(Table::Tcp, payload)
    {
        sink(&Socket::Inet(socket))?;
    }
    Ok(part)
}

enum Filled {
    Nothing,
    Some,
    All,
}

/// Appends `count` bytes, or as many as there are. A length that lies costs no more memory than
/// the file has bytes.
fn fill(reader: &mut dyn Read, buffer: &mut Vec<u8>, count: usize) -> Result<Filled, DiagError> {
    let read = reader.take(count as u64).read_to_end(buffer).map_err(DiagError::Read)?;
    Ok(match read {
        read if read == count => Filled::All,
        0 => Filled::Nothing,
        _ => Filled::Some,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u16, payload: &[u8]) -> Vec<u8> {
        let mut bytes = u32::try_from(HEADER + payload.len()).unwrap().to_ne_bytes().to_vec();
        bytes.extend_from_slice(&kind.to_ne_bytes());
        bytes.resize(HEADER, 0);
        bytes.extend_from_slice(payload);
        bytes.resize(align(bytes.len()), 0);
        bytes
    }

    fn read_all(bytes: &[u8]) -> (usize, Result<FileEnd, DiagError>) {
        let mut sockets = 0;
        let end = read_from(&mut &bytes[..], &mut |_| {
            sockets += 1;
            Ok(())
        });
        (sockets, end)
    }

    #[test]
    fn a_file_is_read_up_to_its_first_end() {
        let mut socket = [0; 72];
        socket[0] = 2;
        let mut bytes = message(20, &socket);
        bytes.extend(message(3, &0i32.to_ne_bytes()));
        bytes.extend(message(20, &socket));
        assert!(matches!(read_all(&bytes), (1, Ok(FileEnd::Done))));
        assert!(matches!(read_all(&bytes[..88]), (1, Ok(FileEnd::Missing))));
        assert!(matches!(read_all(&bytes[..90]), (1, Ok(FileEnd::Truncated))));
        assert!(matches!(read_all(&bytes[..80]), (0, Ok(FileEnd::Truncated))));
        assert!(matches!(read_all(&[0; 16]), (0, Err(DiagError::Damaged(_)))));
        assert!(matches!(read_all(&[0xff; 64]), (0, Ok(FileEnd::Truncated))));
    }
}
