//! `--json` and `--json-lines`: what the schema promises, and what the columns say.

use std::os::unix::ffi::OsStrExt;
use std::process::{Command, Stdio};

use serde_json::Value;
use socktrace_tests::namespace::in_namespace;
use socktrace_tests::population::{Kind, Population};
use socktrace_tests::process::socktrace;
use socktrace_tests::require_root;
use socktrace_tests::schema::Schema;

const PROGRAM: &str = env!("CARGO_BIN_EXE_socktrace-population");

/// What `socktrace` prints for a line of arguments.
fn output(line: &str) -> String {
    let output = socktrace()
        .args(line.split_whitespace())
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("{line}: {error}"));
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap_or_else(|error| panic!("{line}: {error}"))
}

fn array(line: &str) -> Vec<Value> {
    let text = output(line);
    match serde_json::from_str(&text) {
        Ok(Value::Array(sockets)) => sockets,
        other => panic!("{line}: {other:?} in {text}"),
    }
}

#[test]
fn every_listing_is_as_the_schema_says() {
    require_root!();
    let schema = Schema::of_socktrace();
    in_namespace(|| {
        let _population = Population::start(PROGRAM, Kind::Everything);
        for line in [
            "-j",
            "-aj",
            "-anj",
            "-anempitoj --tos --cgroup --inet-sockopt -T",
            "-aempioj -b --bpf-maps --nspid -C",
            "-tajr",
            "-xaejm",
            "-0aejbm",
            "-f netlink -aejpm",
            "-uwaj",
            "-MSaj -ei",
            "-aj --tipc --tipcinfo -e",
            "-aj --vsock --xdp -e",
            "-sj",
            "-sj -t",
            "-j -t dport = 1",
            "-ajQ",
        ] {
            let sockets = array(line);
            sockets.iter().for_each(|socket| schema.check_entry(socket));
        }
        let lines = output("-tan --json-lines -s");
        assert!(lines.lines().count() > 50, "{lines}");
        for line in lines.lines() {
            schema.check_entry(&serde_json::from_str(line).unwrap());
        }
    });
}

/// A command that prints JSON, the definition of what it prints, and the tests that look at it.
/// What is looked at here has lines of arguments.
const COMMANDS: &[(&str, &str, &[&str])] = &[
    // json_events.rs; events.rs looks at all that any test of a trace reads.
    ("trace", "event_state", &[]),
    ("life", "event_life", &[]),
    ("retrans", "event_retransmit", &[]),
    (
        "states",
        "count",
        &[
            "-j",
            "-j --by process,port",
            "--json-lines --by user,cgroup,local,peer",
            "-j --by sport,dport -n",
            "-jx --by local,peer",
        ],
    ),
    ("audit", "audit", &["-j"]),
    ("report", "report", &["-j"]),
    ("listen", "service", &["-j", "--json-lines", "-jGnr"]),
    ("doctor", "check", &["--json"]),
];

#[test]
fn every_command_is_as_the_schema_says() {
    require_root!();
    let schema = Schema::of_socktrace();
    in_namespace(|| {
        let _population = Population::start(PROGRAM, Kind::Everything);
        for (command, definition, lines) in COMMANDS {
            for line in *lines {
                let mut program = socktrace();
                program.arg(command).args(line.split_whitespace()).stdin(Stdio::null());
                // The exit code of some says what they found.
                let text = String::from_utf8(program.output().unwrap().stdout).unwrap();
                let parsed: Value = match line.contains("lines") {
                    true => text
                        .lines()
                        .map(|line| serde_json::from_str::<Value>(line).unwrap())
                        .collect(),
                    false => serde_json::from_str(&text)
                        .unwrap_or_else(|error| panic!("{command} {line}: {error} in {text}")),
                };
                let objects = match parsed {
                    Value::Array(objects) => objects,
                    object => vec![object],
                };
                assert!(!objects.is_empty(), "{command} {line}");
                objects.iter().for_each(|object| schema.check(definition, object));
            }
        }
    });
}

/// A command that is added, or begins to print JSON, has to be added above.
#[test]
fn every_command_that_prints_json_is_looked_at() {
    let output = |arguments: &[&str]| {
        String::from_utf8(socktrace().args(arguments).output().unwrap().stdout).unwrap()
    };
    let help = output(&["--help"]);
    let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let commands: Vec<&str> = listed.map_while(|line| line.split_whitespace().next()).collect();
    assert!(commands.len() > COMMANDS.len(), "{commands:?}");
    for command in commands {
        let prints_json = output(&[command, "--help"]).contains("--json");
        let is_looked_at = COMMANDS.iter().any(|(known, ..)| *known == command);
        assert_eq!(prints_json, is_looked_at, "{command}");
    }
}

#[test]
fn hostile_names_come_through_whole() {
    require_root!();
    let path = std::env::temp_dir().join(format!("socktrace-hostile-{}", std::process::id()));
    std::fs::create_dir_all(&path).unwrap();
    for (name, text, hex) in [
        (&b"quo\"te\\slash"[..], "quo\"te\\slash", None),
        (b"new\nline\ttab", "new\nline\ttab", None),
        (b"\x1b[31mred\xc2\x9b", "\u{1b}[31mred\u{9b}", None),
        ("ünïcödé".as_bytes(), "ünïcödé", None),
        (b"caf\xe9\xff", "caf\u{fffd}\u{fffd}", Some("636166e9ff")),
    ] {
        let file = path.join(std::ffi::OsStr::from_bytes(name));
        let (comm, listener) = std::thread::scope(|scope| {
            let inside = scope.spawn(|| {
                let comm = std::ffi::CString::new(&name[..name.len().min(15)]).unwrap();
                rustix::thread::set_name(&comm).unwrap();
                let listener = std::os::unix::net::UnixListener::bind(&file).unwrap();
                let sockets = array("-xlpTj");
                let mine = sockets.into_iter().find(|socket| {
                    socket["local"]["path"].as_str().is_some_and(|path| path.ends_with(text))
                });
                (mine, listener)
            });
            inside.join().unwrap()
        });
        let socket = comm.unwrap_or_else(|| panic!("{text:?} is not listed"));
        let owners = socket["owners"].as_array().unwrap();
        assert!(owners.iter().any(|owner| owner["comm"] == text), "{owners:?}");
        if let Some(hex) = hex {
            assert!(socket["local"]["path_hex"].as_str().unwrap().ends_with(hex));
            assert!(owners.iter().any(|owner| owner["comm_hex"] == hex), "{owners:?}");
        }
        drop(listener);
    }
    std::fs::remove_dir_all(&path).unwrap();
}

#[test]
fn text_sources_are_as_the_schema_says() {
    require_root!();
    let schema = Schema::of_socktrace();
    in_namespace(|| {
        let _population = Population::start(PROGRAM, Kind::Everything);
        for (variable, line) in [
            ("PROC_NET_TCP", "-tanejio"),
            ("PROC_NET_UDP", "-uanej"),
            ("PROC_NET_UNIX", "-xaej"),
            ("PROC_NET_NETLINK", "-f netlink -aej"),
        ] {
            let file = match variable {
                "PROC_NET_TCP" => "/proc/net/tcp",
                "PROC_NET_UDP" => "/proc/net/udp",
                "PROC_NET_UNIX" => "/proc/net/unix",
                _ => "/proc/net/netlink",
            };
            let mut command = socktrace();
            let output = command.args(line.split(' ')).env(variable, file).output().unwrap();
            let sockets: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
            assert!(!sockets.is_empty(), "{line}");
            sockets.iter().for_each(|socket| schema.check_entry(socket));
        }
    });
}

/// Each word of an IP socket's row in columns, from its object.
fn row(socket: &Value) -> [String; 6] {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let is_v6only = socket["v6only"] == true;
    let end = |end: &Value| {
        let mut addr = match end["addr"].as_str().unwrap() {
            "::" if !is_v6only => "*".to_owned(),
            addr if addr.contains(':') => format!("[{addr}]"),
            addr => addr.to_owned(),
        };
        if let Some(interface) = end.get("interface") {
            addr = format!("{addr}%{}", text(interface));
        }
        let port = end.get("port").unwrap_or(&end["protocol"]);
        format!("{addr}:{}", if *port == 0 { "*".to_owned() } else { text(port) })
    };
    [
        text(&socket["netid"]),
        text(&socket["state"]),
        text(&socket["recv_q"]),
        text(&socket["send_q"]),
        end(&socket["local"]),
        end(&socket["peer"]),
    ]
}

#[test]
fn the_columns_say_the_same() {
    require_root!();
    in_namespace(|| {
        let _population = Population::start(PROGRAM, Kind::Everything);
        let line = "-tuwan state all";
        let (columns, sockets) = (output(&format!("{line} -H")), array(&format!("{line} -j")));
        let columns: Vec<[String; 6]> = columns
            .lines()
            .map(|line| {
                let mut words = line.split_whitespace().map(str::to_owned);
                std::array::from_fn(|_| words.next().unwrap_or_default())
            })
            .collect();
        let rows: Vec<[String; 6]> = sockets.iter().map(row).collect();
        assert!(rows.len() > 20, "{rows:?}");
        assert_eq!(rows, columns);
    });
}

#[test]
fn what_an_option_shows_is_in_json_with_that_option_alone() {
    require_root!();
    in_namespace(|| {
        let _population = Population::start(PROGRAM, Kind::Everything);
        let has =
            |line: &str, key: &str| array(line).iter().any(|socket| socket.get(key).is_some());
        for (option, key) in [
            ("-o", "timer"),
            ("-e", "shutdown"),
            ("-m", "skmem"),
            ("-i", "tcp_info"),
            ("-i", "congestion"),
            ("-p", "owners"),
            ("--tos", "tos"),
            ("--cgroup", "cgroup_id"),
            ("--inet-sockopt", "sockopt"),
        ] {
            assert!(has(&format!("-tanj {option}"), key), "{option} has no {key}");
            assert!(!has("-tanj", key), "{key} without {option}");
        }
    });
}

#[test]
fn nothing_to_show_is_an_empty_array() {
    assert_eq!(output("-tj sport = 1 and sport = 2"), "[]\n");
    assert_eq!(output("-j -A tcp,!tcp"), "[]\n");
    assert_eq!(output("-t --json-lines sport = 1 and sport = 2"), "");
}

/// The lines that guides cut with awk, as docs/schema.md has them for jq.
#[test]
fn the_one_liners_of_the_documentation_work() {
    require_root!();
    if Command::new("jq").arg("--version").output().is_err() {
        socktrace_tests::skip!("there is no jq");
    }
    let document = include_str!("../../docs/schema.md");
    let lines: Vec<&str> = document
        .lines()
        .filter(|line| line.starts_with("socktrace ") && line.contains("jq"))
        .collect();
    assert!(lines.len() >= 24, "{lines:?}");
    in_namespace(|| {
        let _population = Population::start(PROGRAM, Kind::Everything);
        for line in lines {
            let program = socktrace().get_program().to_owned();
            let script = line.replacen("socktrace", "\"$SOCKTRACE\"", 1);
            let output = Command::new("sh")
                .args(["-c", &script])
                .env("SOCKTRACE", program)
                .output()
                .expect("sh does not run");
            let stderr = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success() && !stderr.contains("jq"), "{line}: {stderr}");
            assert!(!output.stdout.is_empty(), "{line}: nothing comes out");
        }
    });
}
