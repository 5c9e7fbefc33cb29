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
    /// How many reads there are at least in each program, if all count.
    reads: usize,
}

const COMMITTED: &[Committed] = &[
    Committed {
        object: "socktrace.bpf.o",
        accessors: "core.c",
        programs: &[
            ("retransmission", "tp_btf/tcp_retransmit_skb"),
            ("transition", "tp_btf/inet_sock_set_state"),
        ],
        moving: "tcp_sock.bytes_acked",
        reads: 10,
    },
    Committed {
        object: "owners.bpf.o",
        accessors: "owners/core.c",
        programs: &[("descriptors", "iter/task_file")],
        moving: "task_struct.start_boottime",
        reads: 10,
    },
];

impl Committed {
    fn bytes(&self) -> Vec<u8> {
        fs::read(root().join("socktrace/bpf").join(self.object)).unwrap()
    }

    /// The fields that are declared: `LOAD(type, name, struct, field)`, `ADDRESS(name, struct,
    /// field)`.
    fn declared(&self) -> BTreeSet<String> {
        let source = root().join("socktrace-ebpf/src").join(self.accessors);
        fs::read_to_string(source)
            .unwrap()
            .lines()
            .filter(|line| line.starts_with("LOAD(") || line.starts_with("ADDRESS("))
            .map(|line| {
                let words = line.trim_end_matches(')').split(", ").collect::<Vec<_>>();
                let [.., kernel_type, field] = words[..] else { panic!("{line}") };
                format!("{kernel_type}.{field}")
            })
            .collect()
    }
}

#[test]
fn the_relocated_fields_are_the_declared_ones() {
    for committed in COMMITTED {
        let object = BpfObject::parse(&committed.bytes()).unwrap();
        let relocated = object.fields().into_iter().map(str::to_owned).collect::<BTreeSet<_>>();
        assert_eq!(relocated, committed.declared(), "{}", committed.object);
        assert!(relocated.len() >= 10, "{relocated:?}");
        assert!(relocated.contains(committed.moving), "{relocated:?}");
    }
}

#[test]
fn every_relocation_asks_for_an_offset() {
    for committed in COMMITTED {
        let object = BpfObject::parse(&committed.bytes()).unwrap();
        for relocation in &object.relocations {
            assert_eq!(relocation.kind, 0, "{}: {relocation:?}", committed.object);
        }
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
        assert!(committed.bytes().len() < 100_000, "{}", committed.object);
    }
}

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
                .map(|relocation| relocation.offset)
                .collect();
            assert_eq!(scan::unrelocated_reads(&program.code, &relocated), [], "{}", program.name);
            // What is found if the loader changed nothing: the scan is not blind.
            let all = scan::unrelocated_reads(&program.code, &BTreeSet::new());
            assert!(all.len() >= committed.reads, "{}: {all:?}", program.name);
        }
    }
}
