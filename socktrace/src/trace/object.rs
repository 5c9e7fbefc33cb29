//! The programs as they were built, and how they are fitted to the kernel.

use std::{fs, process};

use aya::{Btf, Ebpf, EbpfLoader, VerifierLogLevel};
use object::{Object, ObjectSection};

use super::kernel_types::KernelTypes;
use super::plan::{TracePlan, Wanted};
use crate::btf;
use crate::event::Family;

static OBJECT: &[u8] = aya::include_bytes_aligned!("../../bpf/socktrace.bpf.o");

/// A program, and the tracepoint it is for.
type Hook = (&'static str, &'static str);

const TRANSITION: Hook = ("transition", "inet_sock_set_state");
const LIFE: Hook = ("life", "inet_sock_set_state");
const RETRANSMISSION: Hook = ("retransmission", "tcp_retransmit_skb");
const SYNACK: Hook = ("synack", "tcp_retransmit_synack");
const RESET_RECEIVED: Hook = ("reset_received", "tcp_receive_reset");
const RESET_SENT: Hook = ("reset_sent", "tcp_send_reset");

impl Wanted {
    pub(super) fn hooks(self) -> &'static [Hook] {
        match self {
            Wanted::Everything => &[TRANSITION, RETRANSMISSION, SYNACK, RESET_RECEIVED, RESET_SENT],
            Wanted::Retransmissions => &[TRANSITION, RETRANSMISSION, SYNACK],
            Wanted::Lives => &[LIFE, RESET_RECEIVED, RESET_SENT],
            Wanted::Digest => &[LIFE, RETRANSMISSION, SYNACK, RESET_RECEIVED, RESET_SENT],
        }
    }
}

/// The iterator that older sockets are looked for with.
pub(super) const WALK: &str = "task_file";

/// Fits the object to the kernel and the plan, and makes its maps.
pub(super) fn fit(
    plan: &TracePlan,
    types: &KernelTypes,
    to_read: &Btf,
) -> Result<Ebpf, aya::EbpfError> {
    const AF_INET: u32 = 2;
    const AF_INET6: u32 = 10;
    let (mark, log_level) = (plan.ring_size.mark(), plan.log.raw());
    let netns = plan.netns.unwrap_or(0);
    let family = plan.family.map_or(0, |family| match family {
        Family::Inet => AF_INET,
        Family::Inet6 => AF_INET6,
    });
    let has_cookies = u8::from(types.has_cookies);
    let has_task_btf = u8::from(types.has_task_btf);
    let has_reset_reason = u8::from(types.has_reset_reason);
    let has_retransmit_error = u8::from(types.has_retransmit_error);
    let accept_arguments = types.accept_arguments.unwrap_or_default() as u8;
    let tell_transitions = u8::from(plan.wanted == Wanted::Everything);
    let tell_resets = u8::from(matches!(plan.wanted, Wanted::Everything | Wanted::Digest));
    let has_probe = u8::from(plan.probe.is_some());
    let tracer = number_of_this_process().unwrap_or(0);
    EbpfLoader::new()
        .btf(Some(to_read))
        .map_max_entries("RECORDS", plan.ring_size.bytes())
        .override_global("WAKE_AT", &mark, true)
        .override_global("NETNS", &netns, true)
        .override_global("FAMILY", &family, true)
        .override_global("HAS_COOKIES", &has_cookies, true)
        .override_global("HAS_TASK_BTF", &has_task_btf, true)
        .override_global("HAS_RESET_REASON", &has_reset_reason, true)
        .override_global("HAS_RETRANSMIT_ERROR", &has_retransmit_error, true)
        .override_global("ACCEPT_ARGUMENTS", &accept_arguments, true)
        .override_global("TELL_TRANSITIONS", &tell_transitions, true)
        .override_global("TELL_RESETS", &tell_resets, true)
        .override_global("HAS_PROBE", &has_probe, true)
        .override_global("TRACER", &tracer, true)
        .override_global(aya_log::LEVEL, &log_level, true)
        .verifier_log_level(VerifierLogLevel::DEBUG)
        .load(OBJECT)
}

/// The pid of this process as the programs see it; `None` in a pid namespace, where it has another.
fn number_of_this_process() -> Option<u32> {
    // The inode of the first pid namespace is fixed.
    const FIRST: &str = "pid:[4026531836]";
    let namespace = fs::read_link("/proc/self/ns/pid").ok()?;
    (namespace.as_os_str() == FIRST).then(process::id)
}

/// The names of the kernel's types that the programs read or are attached to.
pub(super) fn types_needed(wanted: Wanted) -> Vec<Vec<u8>> {
    let file = object::File::parse(OBJECT).ok();
    let section = file.as_ref().and_then(|file| file.section_by_name(".BTF")?.data().ok());
    let own = section.and_then(btf::Btf::parse);
    let structs = own.iter().flat_map(btf::Btf::named_structs).map(<[u8]>::to_vec);
    let hooks = wanted.hooks().iter().map(|(_, tracepoint)| format!("btf_trace_{tracepoint}"));
    structs.chain(hooks.chain([format!("bpf_iter_{WALK}")]).map(String::into_bytes)).collect()
}

#[cfg(test)]
mod tests {
    use aya::Endianness;
    use object::ObjectSymbol;

    use super::*;

    const ALL: [Wanted; 4] =
        [Wanted::Everything, Wanted::Retransmissions, Wanted::Lives, Wanted::Digest];

    #[test]
    fn the_object_has_what_is_loaded_from_it() {
        let object = symbols();
        let hooks = ALL.into_iter().flat_map(Wanted::hooks).map(|(program, _)| *program);
        for name in hooks.chain([
            "seed",
            "accepted",
            "created",
            "established",
            "RECORDS",
            "TALLY",
            "SOCKETS",
            "OTHER_SOCKETS",
            "LISTENERS",
        ]) {
            assert!(object.contains(&name.to_owned()), "{name}");
        }
    }

    fn symbols() -> Vec<String> {
        object::File::parse(OBJECT)
            .unwrap()
            .symbols()
            .filter_map(|symbol| symbol.name().ok().map(str::to_owned))
            .collect()
    }
    #[test]
    fn the_types_needed_fit_the_programs_as_all_types_do() {
        let Ok(all) = KernelTypes::bytes() else { return };
        let expected = fitted(&all);
        for wanted in ALL {
            let types = KernelTypes::read(&all, &types_needed(wanted)).unwrap();
            assert!(fitted(&types.to_read) == expected, "{wanted:?}");
        }
    }

    #[test]
    fn what_is_attached_to_has_the_number_that_it_has_among_all_types() {
        use aya_obj::btf::BtfKind;
        let Ok(all) = KernelTypes::bytes() else { return };
        let parse = |types: &[u8]| Btf::parse(types, Endianness::default()).unwrap();
        let kernel = parse(&all);
        for wanted in ALL {
            let attach = parse(&KernelTypes::read(&all, &types_needed(wanted)).unwrap().to_attach);
            let tracepoints = wanted.hooks().iter().map(|(_, name)| format!("btf_trace_{name}"));
            let names = tracepoints.map(|name| (name, BtfKind::Typedef));
            let walk = (format!("bpf_iter_{WALK}"), BtfKind::Func);
            for (name, kind) in names.chain([walk, ("inet_csk_accept".to_owned(), BtfKind::Func)]) {
                let [expected, told] =
                    [&kernel, &attach].map(|btf| btf.id_by_type_name_kind(&name, kind).ok());
                assert_eq!(told, expected, "{name}");
            }
        }
    }

    /// The instructions of all programs, as they are with these types of the kernel.
    fn fitted(types: &[u8]) -> Vec<(u8, u8, i16, i32)> {
        let mut object = aya_obj::Object::parse(OBJECT).unwrap();
        let instruction = |one: &aya_obj::generated::bpf_insn| {
            (one.code, one.dst_reg() << 4 | one.src_reg(), one.off, one.imm)
        };
        let unfitted = object.functions.clone();
        object.relocate_btf(&Btf::parse(types, Endianness::default()).unwrap()).unwrap();
        let code = |functions: &std::collections::BTreeMap<_, aya_obj::Function>| -> Vec<_> {
            functions.values().flat_map(|one| &one.instructions).map(instruction).collect()
        };
        let fitted = code(&object.functions);
        assert!(fitted != code(&unfitted), "nothing is fitted");
        fitted
    }
}
