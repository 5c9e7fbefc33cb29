//! The committed objects read the kernel through relocations, and only so.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use xtask::bpf_object::BpfObject;
use xtask::scan;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// A committed object, the list of the fields that it reads, and what it has to offer.
struct Committed {
    object: &'static str,
    accessors: &'static str,
    programs: &'static [(&'static str, &'static str)],
    /// A field whose offset differs in every kernel that was looked at.
    moving: &'static str,
}

const COMMITTED: &[Committed] = &[
    Committed {
        object: "socktrace.bpf.o",
        accessors: "core.c",
        programs: &[
            ("accepted", "fexit/inet_csk_accept"),
            ("created", "cgroup/sock_create"),
            ("established", "sockops"),
            ("life", "tp_btf/inet_sock_set_state"),
            ("reset_received", "tp_btf/tcp_receive_reset"),
            ("reset_sent", "tp_btf/tcp_send_reset"),
            ("retransmission", "tp_btf/tcp_retransmit_skb"),
            ("seed", "iter/task_file"),
            ("synack", "tp_btf/tcp_retransmit_synack"),
            ("transition", "tp_btf/inet_sock_set_state"),
        ],
        moving: "tcp_sock.bytes_acked",
    },
    Committed {
        object: "owners.bpf.o",
        accessors: "owners/core.c",
        programs: &[("descriptors", "iter/task_file")],
        moving: "task_struct.start_boottime",
    },
];

impl Committed {
    fn bytes(&self) -> Vec<u8> {
        fs::read(root().join("socktrace/bpf").join(self.object)).unwrap()
    }

    /// The fields that are declared, and what is asked of them: each line is `MACRO(..., struct,
    /// field)`.
    fn declared(&self) -> BTreeSet<(String, u32)> {
        let source = root().join("socktrace-ebpf/src").join(self.accessors);
        let source = fs::read_to_string(source).unwrap();
        let fields = source.lines().filter_map(|line| {
            let (name, arguments) = line.split_once('(')?;
            let (_, asked) = MACROS.iter().find(|(known, _)| *known == name)?;
            let words = arguments.trim_end_matches(')').split(", ").collect::<Vec<_>>();
            let [.., kernel_type, field] = words[..] else { panic!("{line}") };
            Some(asked.iter().map(move |kind| (format!("{kernel_type}.{field}"), *kind)))
        });
        fields.flatten().collect()
    }
}

// What a relocation can ask of a field.
const OFFSET: u32 = 0;
const EXISTS: u32 = 2;
const SHIFT_LEFT: u32 = 4;
const SHIFT_RIGHT: u32 = 5;

/// The macros of core.c, and what they ask.
const MACROS: &[(&str, &[u32])] = &[
    ("LOAD", &[OFFSET]),
    ("PART", &[OFFSET]),
    ("ADDRESS", &[OFFSET]),
    ("EXISTS", &[EXISTS]),
    ("BITS", &[OFFSET, SHIFT_LEFT, SHIFT_RIGHT]),
];

#[test]
fn the_relocated_fields_are_the_declared_ones() {
    for committed in COMMITTED {
        let object = BpfObject::parse(&committed.bytes()).unwrap();
        let relocations = object.relocations.iter();
        let relocated: BTreeSet<(String, u32)> =
            relocations.map(|relocation| (relocation.field.clone(), relocation.kind)).collect();
        assert_eq!(relocated, committed.declared(), "{}", committed.object);
        assert!(relocated.len() >= 10, "{relocated:?}");
        assert!(relocated.contains(&(committed.moving.to_owned(), OFFSET)), "{relocated:?}");
    }
}

#[test]
fn no_path_of_a_machine_is_in_the_objects() {
    for committed in COMMITTED {
        let bytes = committed.bytes();
        for path in ["/home", "/root", "/tmp", "/usr", "/build", "registry", "index.crates.io"] {
            let found = bytes.windows(path.len()).any(|window| window == path.as_bytes());
            assert!(!found, "{}: {path}", committed.object);
        }
    }
}

#[test]
fn the_objects_are_small() {
    for committed in COMMITTED {
        assert!(committed.bytes().len() < 200_000, "{}", committed.object);
    }
}

/// Programs that read their context and nothing behind it: the kernel translates that one itself.
const OF_CONTEXT: &[&str] = &["created", "established"];

#[test]
fn nothing_of_the_kernel_is_read_without_a_relocation() {
    for committed in COMMITTED {
        let object = BpfObject::parse(&committed.bytes()).unwrap();
        assert_eq!(object.program_names(), committed.programs, "{}", committed.object);
        for program in &object.programs {
            let relocated: BTreeSet<u32> = object
                .relocations
                .iter()
                .filter(|relocation| relocation.section == program.section)
                .filter_map(|relocation| relocation.offset.checked_sub(program.start))
                .collect();
            // What is found if the loader changed nothing: the scan is not blind.
            let all = scan::unrelocated_reads(&program.code, &BTreeSet::new());
            if OF_CONTEXT.contains(&program.name.as_str()) {
                assert!(all.is_empty() && relocated.is_empty(), "{}: {all:?}", program.name);
                continue;
            }
            assert_eq!(scan::unrelocated_reads(&program.code, &relocated), [], "{}", program.name);
            assert!(all.len() >= 10, "{}: {all:?}", program.name);
        }
    }
}
