//! What the running kernel says of itself in its BTF: which helpers tracing programs have, what the
//! tracepoints tell, and what its enums mean. Nothing is concluded from a version number.

use std::collections::BTreeMap;
use std::{fs, io};

const PATH: &str = "/sys/kernel/btf/vmlinux";
const MAGIC: u16 = 0xeb9f;

// Kinds of types.
const INT: u32 = 1;
const POINTER: u32 = 2;
const ARRAY: u32 = 3;
const STRUCT: u32 = 4;
const UNION: u32 = 5;
const ENUM: u32 = 6;
const TYPEDEF: u32 = 8;
const FUNCTION: u32 = 12;
const PROTOTYPE: u32 = 13;
const VARIABLE: u32 = 14;
const SECTION: u32 = 15;
const TAG: u32 = 17;
const ENUM64: u32 = 19;

/// What of the kernel decides what can be traced, and how.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct KernelTypes {
    /// Tracing programs may ask for the cookie of a socket.
    pub(super) has_cookies: bool,
    /// Tracing programs get a typed pointer to the running task.
    pub(super) has_task_btf: bool,
    /// The kernel says why it sends a reset.
    pub(super) has_reset_reason: bool,
    /// How many arguments inet_csk_accept has.
    pub(super) accept_arguments: Option<usize>,
    /// `enum sk_rst_reason`, without what all names begin with.
    pub(super) reset_reasons: BTreeMap<u32, String>,
}

impl KernelTypes {
    /// The BTF of the running kernel.
    pub(super) fn bytes() -> io::Result<Vec<u8>> {
        fs::read(PATH)
    }

    /// `None` if it cannot be understood.
    pub(super) fn read(btf: &[u8]) -> Option<KernelTypes> {
        let mut types = KernelTypes::default();
        let scan = Scan::new(btf)?;
        let mut send_reset = None;
        let mut accept = None;
        let mut at = Vec::with_capacity(200_000);
        let mut offset = 0;
        while offset < scan.types.len() {
            let entry = scan.entry(offset)?;
            at.push(offset);
            match entry.kind {
                FUNCTION => match scan.name(entry.name) {
                    b"bpf_get_socket_ptr_cookie" => types.has_cookies = true,
                    b"bpf_get_current_task_btf" => types.has_task_btf = true,
                    b"inet_csk_accept" => accept = Some(entry.type_or_size),
                    _ => {}
                },
                TYPEDEF if scan.name(entry.name) == b"btf_trace_tcp_send_reset" => {
                    send_reset = Some(entry.type_or_size);
                }
                ENUM if scan.name(entry.name) == b"sk_rst_reason" => {
                    types.reset_reasons = scan.reasons(offset, &entry)?;
                }
                _ => {}
            }
            offset += 12 + entry.tail()?;
        }
        // Types are numbered from one.
        let arguments = |id: u32| {
            let entry = scan.entry(*at.get((id as usize).checked_sub(1)?)?)?;
            (entry.kind == PROTOTYPE).then_some(entry.count)
        };
        let pointee = |id: u32| {
            let entry = scan.entry(*at.get((id as usize).checked_sub(1)?)?)?;
            (entry.kind == POINTER).then_some(entry.type_or_size)
        };
        // The first argument of a tracepoint's prototype is not the program's.
        types.has_reset_reason = send_reset.and_then(pointee).and_then(arguments) >= Some(4);
        types.accept_arguments = accept.and_then(arguments);
        Some(types)
    }
}

struct Scan<'a> {
    types: &'a [u8],
    names: &'a [u8],
}

struct Entry {
    name: u32,
    kind: u32,
    count: usize,
    type_or_size: u32,
}

impl Entry {
    /// The size of what follows.
    fn tail(&self) -> Option<usize> {
        Some(match self.kind {
            INT | VARIABLE | TAG => 4,
            ARRAY => 12,
            STRUCT | UNION | SECTION | ENUM64 => 12 * self.count,
            ENUM | PROTOTYPE => 8 * self.count,
            kind if kind <= ENUM64 => 0,
            _ => return None,
        })
    }
}

impl<'a> Scan<'a> {
    fn new(btf: &'a [u8]) -> Option<Scan<'a>> {
        if u16::from_ne_bytes(btf.get(..2)?.try_into().ok()?) != MAGIC {
            return None;
        }
        let word = |at: usize| Some(word_at(btf, at)? as usize);
        let header = word(4)?;
        let section = |offset: usize, length: usize| {
            let start = header.checked_add(offset)?;
            btf.get(start..start.checked_add(length)?)
        };
        Some(Scan { types: section(word(8)?, word(12)?)?, names: section(word(16)?, word(20)?)? })
    }

    fn entry(&self, offset: usize) -> Option<Entry> {
        let info = word_at(self.types, offset + 4)?;
        Some(Entry {
            name: word_at(self.types, offset)?,
            kind: info >> 24 & 0x1f,
            count: (info & 0xffff) as usize,
            type_or_size: word_at(self.types, offset + 8)?,
        })
    }

    fn name(&self, offset: u32) -> &'a [u8] {
        let rest = self.names.get(offset as usize..).unwrap_or_default();
        // No name that is looked for is longer.
        let rest = &rest[..rest.len().min(64)];
        &rest[..rest.iter().position(|byte| *byte == 0).unwrap_or(rest.len())]
    }

    fn reasons(&self, offset: usize, entry: &Entry) -> Option<BTreeMap<u32, String>> {
        (0..entry.count)
            .map(|i| {
                let name = self.name(word_at(self.types, offset + 12 + 8 * i)?);
                let value = word_at(self.types, offset + 16 + 8 * i)?;
                let name = String::from_utf8_lossy(name);
                Some((value, name.strip_prefix("SK_RST_REASON_").unwrap_or(&name).to_owned()))
            })
            .collect()
    }
}

fn word_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A BTF of these types, whose names begin at 1.
    fn btf(types: &[u32], names: &[&str]) -> Vec<u8> {
        let types: Vec<u8> = types.iter().flat_map(|word| word.to_ne_bytes()).collect();
        let names: Vec<u8> =
            names.iter().flat_map(|name| [name.as_bytes(), b"\0"].concat()).collect();
        let lengths = [24, 0, types.len() as u32, types.len() as u32, names.len() as u32 + 1];
        let mut out = [MAGIC.to_ne_bytes(), [1, 0]].concat();
        out.extend(lengths.iter().flat_map(|word| word.to_ne_bytes()));
        [out, types, vec![0], names].concat()
    }

    #[test]
    fn what_the_kernel_has_is_found_by_name() {
        let bytes = btf(
            &[
                // 1: the prototype of a tracepoint with sk, skb and reason
                0,
                PROTOTYPE << 24 | 4,
                0,
                0,
                0,
                0,
                0,
                0,
                0,
                0,
                0,
                // 2: a pointer to it, and 3: its name
                0,
                POINTER << 24,
                1,
                1,
                TYPEDEF << 24,
                2,
                // 4, 5: a function of two arguments
                0,
                PROTOTYPE << 24 | 2,
                0,
                0,
                0,
                0,
                0,
                26,
                FUNCTION << 24,
                4,
                // 6: the enum
                42,
                ENUM << 24 | 2,
                4,
                56,
                0,
                84,
                7,
            ],
            &[
                "btf_trace_tcp_send_reset",
                "inet_csk_accept",
                "sk_rst_reason",
                "SK_RST_REASON_NOT_SPECIFIED",
                "SK_RST_REASON_TCP_STATE",
            ],
        );
        let types = KernelTypes::read(&bytes).unwrap();
        assert!(types.has_reset_reason);
        assert!(!types.has_cookies);
        assert_eq!(types.accept_arguments, Some(2));
        assert_eq!(types.reset_reasons[&7], "TCP_STATE");
    }

    #[test]
    fn the_running_kernel_is_understood() {
        let Ok(bytes) = KernelTypes::bytes() else { return };
        assert_ne!(KernelTypes::read(&bytes), None);
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_strange(words in proptest::collection::vec(any::<u32>(), 0..40)) {
            KernelTypes::read(&btf(&words, &["a"]));
        }
    }
}
