//! `socktrace report` is one page with all that a ticket needs, and nothing that it must not have.

use std::io::{Read, Write};
use std::net::{TcpListener, UdpSocket};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};

use rustix::thread::CapabilitySet;
use serde_json::Value;
use socktrace_tests::audit::{await_full, begin, listener, pairs};
use socktrace_tests::namespace::in_namespace;
use socktrace_tests::process::{socktrace, without_capabilities};
use socktrace_tests::schema::Schema;
use socktrace_tests::{require_root, wait};

const SECRET: &str = "hunter2-is-secret";
const SECTIONS: [&str; 5] = ["Summary", "States", "Listeners", "Top talkers", "Findings"];

/// A process that inherits a listener, with a secret among its arguments and in its environment.
struct Secretive(Child);

impl Secretive {
    fn start(listener: &TcpListener) -> Secretive {
        // As its stderr: so no child of another test inherits it.
        let inherited = OwnedFd::from(listener.try_clone().expect("it is open"));
        let mut shell = Command::new("sh");
        shell.args(["-c", "echo ready; read line", "--password", SECRET]).env("TOKEN", SECRET);
        shell.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(inherited);
        let mut child = shell.spawn().expect("no sh");
        child.stdout.as_mut().unwrap().read_exact(&mut [0; 6]).expect("it says that it runs");
        Secretive(child)
    }
}

impl Drop for Secretive {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

fn report(args: &[&str]) -> String {
    printed(socktrace().arg("report").args(args))
}

fn printed(command: &mut Command) -> String {
    let output = command.output().expect("socktrace does not run");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("a page is UTF-8")
}

/// A namespace with a service, connections that carried something, and a secret nearby.
fn with_traffic(body: impl FnOnce(u32) + Send) {
    in_namespace(|| {
        let server = TcpListener::bind("127.0.0.1:8080").unwrap();
        let _udp = UdpSocket::bind("127.0.0.1:5353").unwrap();
        let secretive = Secretive::start(&server);
        let mut connections = pairs(&server, 3);
        for (number, (client, accepted)) in connections.iter_mut().enumerate() {
            let sent = vec![0; 1000 * (number + 1)];
            client.write_all(&sent).unwrap();
            accepted.read_exact(&mut vec![0; sent.len()]).unwrap();
        }
        body(secretive.0.id());
    });
}

#[test]
fn every_section_is_on_the_page_in_its_order() {
    require_root!();
    with_traffic(|pid| {
        let text = report(&[]);
        let markdown = report(&["--markdown"]);
        for (page, before) in [(&text, "\n"), (&markdown, "\n## ")] {
            let places = SECTIONS.map(|title| page.find(&format!("{before}{title}\n")));
            assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{page}");
            for what in ["Kernel", "Time", "127.0.0.1:8080", "ESTAB", "127.0.0.1:5353"] {
                assert!(page.contains(what), "{what}: {page}");
            }
        }
        assert!(text.contains(&format!("sh[{pid}]")), "{text}");
        assert!(markdown.contains(&format!("sh\\[{pid}\\]")), "{markdown}");
    });
}

#[test]
fn no_argument_and_no_environment_of_a_process_is_on_the_page() {
    require_root!();
    with_traffic(|pid| {
        let known = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap();
        assert!(known.contains(SECRET), "{known}");
        for args in [&[][..], &["--markdown"], &["--json"]] {
            let page = report(args);
            assert!(page.contains(&pid.to_string()), "the process itself is there: {page}");
            assert!(!page.contains(SECRET) && !page.contains("--password"), "{page}");
        }
    });
}

/// How many bytes each of the top talkers has carried.
fn carried(page: &Value) -> Vec<u64> {
    let bytes = |talker: &Value, key: &str| talker[key].as_u64().unwrap();
    let talkers = page["top_talkers"].as_array().unwrap().iter();
    talkers.map(|it| bytes(it, "bytes_acked") + bytes(it, "bytes_received")).collect()
}

#[test]
fn the_object_is_one_and_has_the_connections_that_carried_most() {
    require_root!();
    with_traffic(|_| {
        // The peer may be slow to acknowledge.
        let page: Value = wait::until("all bytes to be acknowledged", || {
            let page = serde_json::from_str(&report(&["--json", "--top", "2"])).unwrap();
            carried(&page).iter().all(|bytes| *bytes >= 3000).then_some(page)
        });
        Schema::of_socktrace().check("report", &page);
        // The SYN of the client is one more.
        let mut bytes = carried(&page);
        bytes.sort_unstable();
        assert_eq!(bytes, [3000, 3001]);
        for talker in page["top_talkers"].as_array().unwrap() {
            let mut owners = talker["owners"].as_array().unwrap().iter();
            assert!(owners.any(|owner| owner["pid"] == std::process::id()), "{talker}");
        }
        let service = &page["listeners"].as_array().unwrap()[1];
        assert_eq!((&service["netid"], &service["local"]["port"]), (&"tcp".into(), &8080.into()));
        let established: u64 = (page["states"].as_array().unwrap().iter())
            .filter(|group| group["netid"] == "tcp" && group["state"] == "ESTAB")
            .filter_map(|group| group["sockets"].as_u64())
            .sum();
        assert_eq!(established, 6);
    });
}

/// A table is a heading, a line of dashes, and rows of as many cells.
#[test]
fn every_table_in_markdown_is_one() {
    require_root!();
    with_traffic(|_| {
        let page = report(&["--markdown"]);
        let cells = |line: &str| line.replace("\\|", "").matches('|').count();
        let mut tables = 0;
        for block in page.split("\n\n").filter(|block| block.starts_with('|')) {
            let lines: Vec<&str> = block.trim_end().lines().collect();
            assert!(lines[1].chars().all(|c| "|-:".contains(c)), "{block}");
            assert!(lines.len() > 2, "{block}");
            assert!(lines.iter().all(|line| cells(line) == cells(lines[0])), "{block}");
            tables += 1;
        }
        assert!(tables >= 4, "{page}");
        let in_tables = page.lines().filter(|line| line.starts_with('|')).count();
        let of_blocks = page.split("\n\n").filter(|block| block.starts_with('|'));
        assert_eq!(in_tables, of_blocks.flat_map(|block| block.trim_end().lines()).count());
    });
}

#[test]
fn findings_are_on_the_page_and_do_not_change_the_exit_code() {
    require_root!();
    in_namespace(|| {
        let (_server, address) = listener(4);
        let _clients: Vec<_> = (0..8).map(|_| begin(address)).collect();
        await_full(address, 4);
        let page: Value = serde_json::from_str(&report(&["--json"])).unwrap();
        Schema::of_socktrace().check("report", &page);
        assert_eq!(page["audit"]["findings"][0]["rule"], "accept-queue");
        let markdown = report(&["--markdown"]);
        assert!(markdown.contains("\n### critical: "), "{markdown}");
        assert!(markdown.contains("\n| local | recv\\_q | send\\_q |"), "{markdown}");
        let command = format!("\n- list: `socktrace -tlnpm 'sport = :{}'`\n", address.port());
        assert!(markdown.contains(&command), "{markdown}");
        assert!(report(&[]).contains("\nCRITICAL "));
    });
}

#[test]
fn what_this_user_cannot_see_is_said_on_the_page() {
    require_root!();
    with_traffic(|_| {
        let all = [
            CapabilitySet::SYS_PTRACE,
            CapabilitySet::DAC_READ_SEARCH,
            CapabilitySet::DAC_OVERRIDE,
            CapabilitySet::SYS_ADMIN,
            CapabilitySet::BPF,
        ];
        let mut command = socktrace();
        command.args(["report", "--markdown"]);
        without_capabilities(&mut command, &all);
        let page = printed(&mut command);
        let (_, unseen) = page.split_once("## Not seen\n").expect("something is not seen");
        assert!(unseen.contains("of the processes, so owners may be missing"), "{page}");
        assert!(!page.contains("sh\\["), "{page}");
        SECTIONS.iter().for_each(|title| assert!(page.contains(title), "{title}: {page}"));
    });
}
