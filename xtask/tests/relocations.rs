//! The committed object reads the kernel through relocations, and only so.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use xtask::bpf_object::BpfObject;
use xtask::scan;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

fn committed() -> Vec<u8> {
    fs::read(root().join("socktrace/bpf/socktrace.bpf.o")).unwrap()
}

/// The fields that core.c declares: `LOAD(type, name, struct, field)`, `ADDRESS(name, struct,
/// field)`.
fn declared() -> BTreeSet<String> {
    let source = fs::read_to_string(root().join("socktrace-ebpf/src/core.c")).unwrap();
    source
        .lines()
        .filter(|line| line.starts_with("LOAD(") || line.starts_with("ADDRESS("))
        .map(|line| {
            let words = line.trim_end_matches(')').split(", ").collect::<Vec<_>>();
            let [.., kernel_type, field] = words[..] else { panic!("{line}") };
            format!("{kernel_type}.{field}")
        })
        .collect()
}

#[test]
fn the_relocated_fields_are_the_declared_ones() {
    let object = BpfObject::parse(&committed()).unwrap();
    let relocated = object.fields().into_iter().map(str::to_owned).collect::<BTreeSet<_>>();
    assert_eq!(relocated, declared());
    assert!(relocated.len() >= 10, "{relocated:?}");
    // Its offset differs in every kernel that was looked at.
    assert!(relocated.contains("tcp_sock.bytes_acked"));
}

#[test]
fn every_relocation_asks_for_an_offset() {
    let object = BpfObject::parse(&committed()).unwrap();
    for relocation in &object.relocations {
        assert_eq!(relocation.kind, 0, "{relocation:?}");
    }
}

#[test]
fn no_path_of_a_machine_is_in_the_object() {
    let bytes = committed();
    for path in ["/home", "/root", "/tmp", "/usr", "/build", "registry", "index.crates.io"] {
        let found = bytes.windows(path.len()).any(|window| window == path.as_bytes());
        assert!(!found, "{path}");
    }
}

#[test]
fn the_object_is_small() {
    assert!(committed().len() < 100_000);
}

#[test]
fn nothing_of_the_kernel_is_read_without_a_relocation() {
    let object = BpfObject::parse(&committed()).unwrap();
    assert_eq!(
        object.program_names(),
        [
            ("retransmission", "tp_btf/tcp_retransmit_skb"),
            ("transition", "tp_btf/inet_sock_set_state"),
        ]
    );
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
        assert!(all.len() >= 10, "{}: {all:?}", program.name);
    }
}
