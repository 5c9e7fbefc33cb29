//! What the running kernel says of itself in its BTF: which helpers tracing programs have, what the
//! tracepoints tell, and what its enums mean. Nothing is concluded from a version number.

use std::collections::BTreeMap;
use std::{fs, io};

use crate::btf::kernel::{self, KernelTypes as Types};

const COOKIES: &[u8] = b"bpf_get_socket_ptr_cookie";
const TASK_BTF: &[u8] = b"bpf_get_current_task_btf";
const ACCEPT: &[u8] = b"inet_csk_accept";
const SEND_RESET: &[u8] = b"btf_trace_tcp_send_reset";
const RETRANSMIT: &[u8] = b"btf_trace_tcp_retransmit_skb";
const RESET_REASON: &[u8] = b"sk_rst_reason";

/// What of the kernel decides what can be traced, and how.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct KernelTypes {
    /// Tracing programs may ask for the cookie of a socket.
    pub(super) has_cookies: bool,
    /// Tracing programs get a typed pointer to the running task.
    pub(super) has_task_btf: bool,
    /// The kernel says why it sends a reset.
    pub(super) has_reset_reason: bool,
    /// The kernel says whether it could send what it tells of as sent again.
    pub(super) has_retransmit_error: bool,
    /// How many arguments inet_csk_accept has.
    pub(super) accept_arguments: Option<usize>,
    /// `enum sk_rst_reason`, without what all names begin with.
    pub(super) reset_reasons: BTreeMap<u32, String>,
    /// A BTF of what the programs read: to look for each type among all those of the kernel would
    /// take most of the start.
    pub(super) to_read: Vec<u8>,
    /// A BTF of what the programs are attached to, under the numbers that the kernel knows it by.
    pub(super) to_attach: Vec<u8>,
}

impl KernelTypes {
    /// The BTF of the running kernel.
    pub(super) fn bytes() -> io::Result<Vec<u8>> {
        fs::read(kernel::PATH)
    }

    /// Reads it, with the types of these names for the programs; `None` if it cannot be understood.
    pub(super) fn read(btf: &[u8], needed: &[Vec<u8>]) -> Option<KernelTypes> {
        let own = [COOKIES, TASK_BTF, ACCEPT, SEND_RESET, RETRANSMIT, RESET_REASON];
        let names = own.into_iter().chain(needed.iter().map(Vec::as_slice)).collect();
        let types = Types::read(btf, &names).ok()?;
        let reasons = types.enum_values(RESET_REASON).unwrap_or_default();
        let reason = |(name, value): (Vec<u8>, i64)| {
            let name = String::from_utf8_lossy(&name);
            let short = name.strip_prefix("SK_RST_REASON_").unwrap_or(&name).to_owned();
            Some((u32::try_from(value).ok()?, short))
        };
        let accept = types.function(ACCEPT).and_then(|id| types.arguments(id));
        // The first argument of a tracepoint's prototype is not the program's.
        let arguments = |tracepoint| types.typedef(tracepoint).and_then(|id| types.arguments(id));
        Some(KernelTypes {
            has_cookies: types.function(COOKIES).is_some(),
            has_task_btf: types.function(TASK_BTF).is_some(),
            has_reset_reason: arguments(SEND_RESET) >= Some(4),
            has_retransmit_error: arguments(RETRANSMIT) >= Some(4),
            accept_arguments: accept.map(|count| count as usize),
            reset_reasons: reasons.into_iter().filter_map(reason).collect(),
            to_read: types.cut_out()?,
            to_attach: types.numbers()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::btf::{Btf, Kind};

    const INT: u32 = 1;
    const POINTER: u32 = 2;
    const ARRAY: u32 = 3;
    const STRUCT: u32 = 4;
    const ENUM: u32 = 6;
    const TYPEDEF: u32 = 8;
    const FUNCTION: u32 = 12;
    const PROTOTYPE: u32 = 13;

    /// A BTF of these types, whose names begin at 1.
    fn btf(types: &[u32], names: &[&str]) -> Vec<u8> {
        let types: Vec<u8> = types.iter().flat_map(|word| word.to_ne_bytes()).collect();
        let names: Vec<u8> =
            names.iter().flat_map(|name| [name.as_bytes(), b"\0"].concat()).collect();
        let lengths = [24, 0, types.len() as u32, types.len() as u32, names.len() as u32 + 1];
        let mut out = [0xeb9f_u16.to_ne_bytes(), [1, 0]].concat();
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
        let types = KernelTypes::read(&bytes, &[]).unwrap();
        assert!(types.has_reset_reason);
        assert!(!types.has_cookies);
        assert!(!types.has_retransmit_error);
        assert_eq!(types.accept_arguments, Some(2));
        assert_eq!(types.reset_reasons[&7], "TCP_STATE");
    }

    #[test]
    fn what_the_programs_read_is_cut_out_and_what_they_attach_to_keeps_its_number() {
        let bytes = btf(
            &[
                // 1: a struct that nobody asks for, and 2: a pointer to that
                5,
                STRUCT << 24 | 1,
                4,
                20,
                3,
                0,
                0,
                POINTER << 24,
                1,
                // 3: a number, and 4: a name of it
                1,
                INT << 24,
                4,
                32,
                16,
                TYPEDEF << 24,
                3,
                // 5: an array of that
                0,
                ARRAY << 24,
                0,
                4,
                3,
                9,
                // 6: the struct that is asked for
                11,
                STRUCT << 24 | 2,
                48,
                20,
                5,
                0,
                22,
                2,
                320,
                // 7: the function that is asked for
                24,
                FUNCTION << 24,
                8,
                // 8: its prototype
                0,
                PROTOTYPE << 24,
                0,
            ],
            &["int", "other", "sock", "u32", "a", "b", "hook"],
        );
        let types = KernelTypes::read(&bytes, &[b"sock".to_vec(), b"hook".to_vec()]).unwrap();

        let read = Btf::parse(&types.to_read).unwrap();
        let kind = |id| &read.get(id).unwrap().kind;
        assert_eq!(read.named_structs().collect::<Vec<_>>(), [b"sock"]);
        let Kind::Struct { members, .. } = kind(5) else { panic!("{read:?}") };
        assert_eq!(read.size(members[0].of), Some(36), "{read:?}");
        assert!(matches!(kind(members[1].of), Kind::Pointer { to: 0 }), "{read:?}");

        let attach = Btf::parse(&types.to_attach).unwrap();
        let is_function = |id| matches!(attach.get(id).unwrap().kind, Kind::Function { .. });
        assert_eq!((1..8).filter(|id| is_function(*id)).collect::<Vec<_>>(), [7]);
        assert_eq!(attach.name(attach.get(7).unwrap()), b"hook");
        assert!(attach.get(8).is_none() && attach.named_structs().next().is_none(), "{attach:?}");
    }

    #[test]
    fn the_running_kernel_is_understood() {
        let Ok(bytes) = KernelTypes::bytes() else { return };
        assert_ne!(KernelTypes::read(&bytes, &[]), None);
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_strange(words in proptest::collection::vec(any::<u32>(), 0..40)) {
            KernelTypes::read(&btf(&words, &["a"]), &[b"a".to_vec()]);
        }
    }
}
