//! Messages that wait for their turn, each kept as what differs from the one before it: of the
//! hundred bytes of a socket, some fifteen.

use std::collections::VecDeque;

/// Eight words of eight bytes each: a byte tells which of the words differ.
type Group = [u64; 8];
const GROUP_BYTES: usize = size_of::<Group>();
/// What is handed back, and freed, at once.
const PIECE_BYTES: usize = 256 << 10;

/// Messages in their order, as many as there is room for.
pub(super) struct Kept {
    room_bytes: usize,
    bytes: usize,
    pieces: VecDeque<Vec<u8>>,
    last_in: Last,
    last_out: Last,
}

impl Kept {
    pub(super) fn new(room_bytes: usize) -> Kept {
        Kept {
            room_bytes,
            bytes: 0,
            pieces: VecDeque::new(),
            last_in: Last::default(),
            last_out: Last::default(),
        }
    }

    /// Whether there is room for more. What comes at once may take somewhat more than that.
    pub(super) fn has_room(&self) -> bool {
        self.bytes < self.room_bytes
    }

    pub(super) fn keep(&mut self, message: &[u8]) {
        // Where each byte differs from the one before, a word takes nine.
        let most = message.len() / 4 * 5 + 2 * GROUP_BYTES;
        let piece = match self.pieces.back_mut() {
            Some(piece) if piece.len() + most <= PIECE_BYTES => piece,
            _ => self.pieces.push_back_mut(Vec::with_capacity(PIECE_BYTES.max(most))),
        };
        let before = piece.len();
        self.last_in.write_difference(message, piece);
        self.bytes += piece.len() - before;
    }

    /// Hands over some of what was kept first, and keeps it no longer; `None` if there is nothing.
    pub(super) fn take_some<E>(
        &mut self,
        each: &mut impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Option<Result<(), E>> {
        let piece = self.pieces.pop_front()?;
        self.bytes -= piece.len();
        let mut rest = &piece[..];
        while !rest.is_empty() {
            if let Err(error) = each(self.last_out.read_difference(&mut rest)) {
                return Some(Err(error));
            }
        }
        Some(Ok(()))
    }
}

/// The last message, with zeroes up to a whole group.
#[derive(Default)]
struct Last {
    bytes: Vec<u8>,
    length: usize,
}

impl Last {
    fn set_length(&mut self, length: usize) {
        self.length = length;
        self.bytes.resize(length.next_multiple_of(GROUP_BYTES), 0);
        // What the message before had there is none of this one's.
        self.bytes[length..].fill(0);
    }

    fn groups(&mut self) -> impl Iterator<Item = &mut [u8; GROUP_BYTES]> {
        self.bytes.as_chunks_mut().0.iter_mut()
    }

    fn write_difference(&mut self, message: &[u8], to: &mut Vec<u8>) {
        let is_as_long = message.len() == self.length;
        to.push(is_as_long.into());
        if !is_as_long {
            to.extend_from_slice(&message.len().to_ne_bytes());
            self.set_length(message.len());
        }
        for (last, part) in self.groups().zip(message.chunks(GROUP_BYTES)) {
            let mut now = [0; GROUP_BYTES];
            now[..part.len()].copy_from_slice(part);
            let at = to.len();
            to.push(0);
            let differences = words(last).into_iter().zip(words(&now)).map(|(a, b)| a ^ b);
            for (word, difference) in differences.enumerate().filter(|(_, bits)| *bits != 0) {
                to[at] |= 1 << word;
                write_word(difference, to);
            }
            *last = now;
        }
    }

    fn read_difference(&mut self, from: &mut &[u8]) -> &[u8] {
        let [is_as_long] = take(from);
        if is_as_long == 0 {
            self.set_length(usize::from_ne_bytes(take(from)));
        }
        for last in self.groups() {
            let [which] = take(from);
            for (word, bytes) in last.as_chunks_mut().0.iter_mut().enumerate() {
                if which & 1 << word != 0 {
                    *bytes = (u64::from_ne_bytes(*bytes) ^ read_word(from)).to_ne_bytes();
                }
            }
        }
        &self.bytes[..self.length]
    }
}

fn words(bytes: &[u8; GROUP_BYTES]) -> Group {
    let mut words = [0; _];
    for (word, bytes) in words.iter_mut().zip(bytes.as_chunks().0) {
        *word = u64::from_ne_bytes(*bytes);
    }
    words
}

/// Which of its bytes are not zero, and those.
fn write_word(word: u64, to: &mut Vec<u8>) {
    let mut written = [0; 1 + size_of::<u64>()];
    let mut length = 1;
    for (number, byte) in word.to_ne_bytes().into_iter().enumerate() {
        written[length] = byte;
        length += usize::from(byte != 0);
        written[0] |= u8::from(byte != 0) << number;
    }
    to.extend_from_slice(&written[..length]);
}

fn read_word(from: &mut &[u8]) -> u64 {
    let [which] = take(from);
    let mut bytes = [0; size_of::<u64>()];
    for (number, byte) in bytes.iter_mut().enumerate() {
        if which & 1 << number != 0 {
            [*byte] = take(from);
        }
    }
    u64::from_ne_bytes(bytes)
}

/// What was written before.
fn take<const N: usize>(from: &mut &[u8]) -> [u8; N] {
    let (first, rest) = from.split_first_chunk().expect("a piece holds whole messages");
    *from = rest;
    *first
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn taken(kept: &mut Kept) -> Vec<Vec<u8>> {
        let mut all = Vec::new();
        let mut each = |message: &[u8]| {
            all.push(message.to_vec());
            Ok::<_, ()>(())
        };
        while let Some(result) = kept.take_some(&mut each) {
            result.unwrap();
        }
        all
    }

    #[test]
    fn a_message_like_the_one_before_takes_little() {
        let mut kept = Kept::new(1000);
        kept.keep(&[7; 108]);
        let first = kept.bytes;
        let mut other = [7; 108];
        other[40..42].copy_from_slice(&[1, 2]);
        kept.keep(&other);
        // Its length, two groups, a word, and two bytes.
        assert_eq!(kept.bytes - first, 1 + 2 + 1 + 2);
        assert!(kept.has_room());
        assert_eq!(taken(&mut kept), [[7; 108], other]);
    }

    #[test]
    fn there_is_room_again_for_what_was_taken() {
        let mut kept = Kept::new(100);
        kept.keep(&[1; 200]);
        assert!(!kept.has_room());
        assert_eq!(taken(&mut kept).len(), 1);
        assert!(kept.has_room());
        kept.keep(&[2; 200]);
        assert_eq!(taken(&mut kept), [[2; 200]]);
    }

    /// Messages that share bytes, as those of sockets do.
    fn messages() -> impl Strategy<Value = Vec<Vec<u8>>> {
        let message = (prop_oneof![Just(108), 0usize..300], any::<u8>(), any::<[u8; 4]>());
        let message = message.prop_map(|(length, fill, ends)| {
            let mut message = vec![fill & 1; length];
            let changed = length.min(4);
            message[length - changed..].copy_from_slice(&ends[..changed]);
            message
        });
        proptest::collection::vec(message, 0..2000)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn all_come_back_in_their_order(before in messages(), after in messages()) {
            let mut kept = Kept::new(usize::MAX);
            before.iter().for_each(|message| kept.keep(message));
            let mut all = Vec::new();
            let each = &mut |message: &[u8]| { all.push(message.to_vec()); Ok::<_, ()>(()) };
            kept.take_some(each);
            after.iter().for_each(|message| kept.keep(message));
            all.extend(taken(&mut kept));
            prop_assert_eq!(all, [before, after].concat());
            prop_assert_eq!(kept.bytes, 0);
        }
    }
}
