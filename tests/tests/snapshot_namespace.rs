//! `-N`: the sockets of a network namespace that has a name.

use std::fs::File;
use std::os::fd::AsFd;
use std::process::Command;
use std::thread;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use socktrace_tests::compare::{Comparison, over_population};
use socktrace_tests::population::{Kind, Population};
use socktrace_tests::require_root;

const PROGRAM: &str = env!("CARGO_BIN_EXE_socktrace-population");

/// A namespace as `ip netns add` makes it; gone when dropped.
struct Named(String);

impl Named {
    fn new() -> Named {
        let named = Named(format!("socktrace-test-{}", std::process::id()));
        let status = Command::new("ip").args(["netns", "add", &named.0]).status();
        assert!(status.is_ok_and(|status| status.success()), "ip netns add does not work");
        let raise = ["-n", &named.0, "link", "set", "lo", "up"];
        let status = Command::new("ip").args(raise).status();
        assert!(status.is_ok_and(|status| status.success()), "lo does not come up");
        named
    }

    fn populate(&self) -> Population {
        let file = File::open(format!("/run/netns/{}", self.0)).unwrap();
        thread::scope(|scope| {
            let inside = scope.spawn(|| {
                let kind = Some(LinkNameSpaceType::Network);
                move_into_link_name_space(file.as_fd(), kind).unwrap();
                Population::start(PROGRAM, Kind::Elsewhere)
            });
            inside.join().unwrap()
        })
    }
}

impl Drop for Named {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.0]).status();
    }
}

#[test]
fn the_sockets_of_a_named_namespace() {
    require_root!();
    let named = Named::new();
    let elsewhere = named.populate();
    over_population(PROGRAM, |comparison: &Comparison| {
        let table: Vec<String> = [
            "-N {name} -tan",
            "-N {name} -tanp",
            "-N {name} -a",
            "-N {name}",
            "-N {name} -xa",
            "-N {name} -uan",
            "-N {name} -s",
            "-N {name} -f netlink -a",
            "-N {name} -tanemi",
            "--net {name} -tln",
            "--net={name} -tln",
            "-tlnN {name}",
            "-N {name} -tan --cgroup",
            "-N {name} -tan dev lo",
            "-N /run/netns/{name} -tan",
            "-N {name} -N {name} -tan",
            "-N '' -tan",
            "-N . -tan",
            "-N ../netns/{name} -tan",
        ]
        .iter()
        .map(|line| line.replace("{name}", &named.0))
        .collect();
        comparison.check(&table.iter().map(String::as_str).collect::<Vec<_>>());
    });
    drop(elsewhere);
}
