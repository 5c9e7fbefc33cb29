//! What happens to a machine while it is traced - clocks that are set, namespaces that end, a
//! reader that is held up - makes no event wrong.
//!
//! What disturbs others, or takes a minute, runs only if it is asked for; `cargo xtask vm` asks.

use std::fs::{self, File};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustix::process::Signal;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use rustix::time::{ClockId, Timespec, clock_gettime, clock_settime};
use serde_json::Value;
use socktrace_tests::events::Events;
use socktrace_tests::namespace::in_namespace;
use socktrace_tests::process::{Running, socktrace, with_boot_time};
use socktrace_tests::trace::{Trace, cookie};
use socktrace_tests::{require_root, skip};

const HOUR: u64 = 3600;
/// Longer than anything here takes, and much less than an hour.
const SLACK_US: u64 = 120_000_000;

fn now_us() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros() as u64
}

/// One connection, opened and closed; the port that it was to.
fn connect() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let client = TcpStream::connect(addr).unwrap();
    let (server, _) = listener.accept().unwrap();
    drop(client);
    drop(server);
    addr.port()
}

fn is_life_of(event: &Value, port: u16) -> bool {
    event["event"] == "life" && event["peer"]["port"] == port
}

fn assert_is_now(event: &Value) {
    let told = event["time_unix_us"].as_u64().expect("each has a time");
    let now = now_us();
    assert!(told.abs_diff(now) < SLACK_US, "it is {now}: {event:#}");
    let opened = event["opened_unix_us"].as_u64().expect("it was seen to open");
    assert!(opened <= told && told - opened < SLACK_US, "{event:#}");
    assert!(event["duration_us"].as_u64() < Some(SLACK_US), "{event:#}");
}

#[test]
fn in_a_time_namespace_events_have_the_time_of_the_host() {
    require_root!();
    in_namespace(|| {
        // The kernel counts from the boot of the machine, whatever processes are told of it.
        for added in [-1, 1] {
            let mut command = socktrace();
            command.args(["life", "--json"]);
            let up = clock_gettime(ClockId::Boottime).tv_sec;
            with_boot_time(&mut command, added * (up / 2).min(86_400));
            let life = Running::start(command);
            life.await_message(|line| line.contains("tracing TCP").then_some(()));
            let port = connect();
            let event = life.await_line(|line| {
                let event: Value = serde_json::from_str(line).unwrap();
                is_life_of(&event, port).then_some(event)
            });
            assert_is_now(&event);
        }
    });
}

/// The clock of the machine, an hour away; it is set back when this is dropped.
struct SetClock {
    was: Timespec,
    at: Instant,
}

impl SetClock {
    fn by(hours: i64) -> SetClock {
        let was = clock_gettime(ClockId::Realtime);
        let at = Instant::now();
        let to = Timespec { tv_sec: was.tv_sec + hours * HOUR as i64, tv_nsec: was.tv_nsec };
        clock_settime(ClockId::Realtime, to).unwrap();
        SetClock { was, at }
    }
}

impl Drop for SetClock {
    fn drop(&mut self) {
        let tv_sec = self.was.tv_sec + self.at.elapsed().as_secs() as i64;
        let _ = clock_settime(ClockId::Realtime, Timespec { tv_sec, ..self.was });
    }
}

#[test]
#[ignore = "sets the clock of the machine"]
fn a_clock_that_is_set_changes_the_time_of_day_and_no_duration() {
    require_root!();
    in_namespace(|| {
        for hours in [1, -1] {
            let mut life = Events::start("life", &[]);
            let port = connect();
            assert_is_now(&life.await_event(|event| is_life_of(event, port)));
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let addr = listener.local_addr().unwrap();
            let across = TcpStream::connect(addr).unwrap();
            let server = listener.accept().unwrap();
            let clock = SetClock::by(hours);
            // The distance of the clocks is looked at each second.
            std::thread::sleep(Duration::from_millis(1500));
            drop(across);
            drop(server);
            let event = life.await_event(|event| is_life_of(event, addr.port()));
            assert_is_now(&event);
            drop(clock);
        }
    });
}

/// Set in the virtual machines: whoever else sits at a machine is not asked whether it may sleep.
const MAY_SUSPEND: &str = "SOCKTRACE_MAY_SUSPEND";
const SUSPENDED_SECONDS: u64 = 10;

/// Suspends the machine until its real-time clock wakes it. The error says why it cannot be.
fn suspend() -> Result<(), String> {
    if std::env::var_os(MAY_SUSPEND).is_none() {
        return Err(format!("{MAY_SUSPEND} does not allow it"));
    }
    // From s2idle, QEMU's clock was not seen to wake a machine.
    let kinds = fs::read_to_string("/sys/power/mem_sleep").unwrap_or_default();
    if !kinds.contains("[deep]") {
        return Err("nothing suspends it to memory".to_owned());
    }
    let alarm = "/sys/class/rtc/rtc0/wakealarm";
    fs::write(alarm, "0")
        .and_then(|()| fs::write(alarm, format!("+{SUSPENDED_SECONDS}")))
        .map_err(|error| format!("nothing would wake it: {alarm}: {error}"))?;
    fs::write("/sys/power/state", "mem").map_err(|error| format!("it does not sleep: {error}"))
}

/// How long the machine has been suspended since it booted.
fn suspended() -> Duration {
    since_boot().saturating_sub(elapsed(ClockId::Monotonic))
}

fn since_boot() -> Duration {
    elapsed(ClockId::Boottime)
}

fn elapsed(clock: ClockId) -> Duration {
    let time = clock_gettime(clock);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

#[test]
#[ignore = "suspends the machine"]
fn what_a_machine_slept_through_counts_in_the_times_of_its_sockets() {
    require_root!();
    in_namespace(|| {
        let mut life = Events::start("life", &[]);
        let mut trace = Events::start("trace", &[]);
        let before = since_boot();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let server = listener.accept().unwrap();
        let cookie = cookie(&client);
        trace.await_state(cookie, "ESTAB");
        let slept_before = suspended();
        if let Err(why) = suspend() {
            skip!("it needs a machine that sleeps: {why}");
        }
        let slept = suspended().saturating_sub(slept_before);
        assert!(slept >= Duration::from_secs(2), "it slept only {slept:?}");
        let awake_us = now_us();
        drop(client);
        drop(server);
        let ended = life.await_life(cookie);
        let left = trace.await_state(cookie, "FIN-WAIT-1");
        let lasted = since_boot() - before;
        for (event, time) in [(&ended, "duration_us"), (&left, "held_us")] {
            let told = Duration::from_micros(event[time].as_u64().expect("it is known"));
            assert!(slept < told && told < lasted, "{slept:?} to {lasted:?}: {event:#}");
            // Either clock is read in its turn.
            let second_us = 1_000_000;
            let at = event["time_unix_us"].as_u64().expect("each has a time");
            assert!(
                awake_us - second_us < at && at < now_us() + second_us,
                "{awake_us}: {event:#}"
            );
        }
        let port = connect();
        assert_is_now(&life.await_event(|event| is_life_of(event, port)));
        life.stop().assert_complete();
        trace.stop().assert_complete();
    });
}

/// A network namespace with a name, until this is dropped.
struct Named(PathBuf);

impl Named {
    fn new(name: &str) -> Named {
        let path = Path::new("/run/netns").join(format!("{name}-{}", std::process::id()));
        fs::create_dir_all("/run/netns").unwrap();
        fs::write(&path, "").unwrap();
        rustix::mount::mount_bind("/proc/thread-self/ns/net", &path).unwrap();
        Named(path)
    }

    fn name(&self) -> &str {
        self.0.file_name().and_then(|name| name.to_str()).unwrap()
    }

    fn within<T: Send>(&self, body: impl FnOnce() -> T + Send) -> T {
        let namespace = File::open(&self.0).unwrap();
        let enter_and = || {
            let kind = Some(LinkNameSpaceType::Network);
            move_into_link_name_space(namespace.as_fd(), kind).unwrap();
            body()
        };
        std::thread::scope(|scope| scope.spawn(enter_and).join().unwrap())
    }
}

impl Drop for Named {
    fn drop(&mut self) {
        let _ = rustix::mount::unmount(&self.0, rustix::mount::UnmountFlags::DETACH);
        let _ = fs::remove_file(&self.0);
    }
}

#[test]
fn a_namespace_that_goes_is_told_to_its_end_and_no_other_is_taken_for_it() {
    require_root!();
    let named = in_namespace(|| Named::new("socktrace-going"));
    let mut life = Events::start("life", &["-N", named.name()]);
    let port = named.within(connect);
    drop(named);
    life.await_event(|event| is_life_of(event, port));
    // The kernel hands out the numbers of namespaces again.
    let others: Vec<u16> = (0..8).map(|_| in_namespace(connect)).collect();
    let ended = life.stop();
    ended.assert_complete();
    for other in others {
        assert!(!ended.all.iter().any(|event| is_life_of(event, other)), "{:#?}", ended.all);
    }
}

#[test]
fn a_name_that_no_namespace_is_behind_is_refused() {
    require_root!();
    let name = format!("socktrace-nothing-{}", std::process::id());
    let path = Path::new("/run/netns").join(&name);
    fs::create_dir_all("/run/netns").unwrap();
    fs::write(&path, "").unwrap();
    for command in ["trace", "life", "retrans"] {
        let mut program = socktrace();
        program.args([command, "-N", &name, "--duration", "0s"]);
        let finished = Running::start(program).finish();
        let said = finished.stderr.join("\n");
        assert_eq!(finished.status.code(), Some(1), "{command}: {said}");
        assert!(said.contains(&name) && finished.stderr.len() == 1, "{command}: {said}");
    }
    fs::remove_file(&path).unwrap();
}

/// Stops the reader for so long, while connections are made all along.
fn stop_the_reader(time: Duration) {
    in_namespace(|| {
        let mut trace = Trace::start(&[]);
        trace.running().signal(Signal::STOP);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let started = Instant::now();
        let mut cookies = Vec::new();
        while started.elapsed() < time {
            let client = TcpStream::connect(addr).unwrap();
            cookies.push(cookie(&client));
            drop((client, listener.accept().unwrap()));
            std::thread::sleep(Duration::from_millis(20));
        }
        trace.running().signal(Signal::CONT);
        trace.await_end(&cookies);
        for one in &cookies {
            assert_eq!(trace.path(*one)[..3], ["UNCONN", "SYN-SENT", "ESTAB"]);
        }
        let finished = trace.stop(Signal::INT);
        assert_eq!(finished.status.code(), Some(0), "{finished:?}");
    });
}

#[test]
fn a_reader_that_is_stopped_for_seconds_loses_nothing_that_the_ring_holds() {
    require_root!();
    stop_the_reader(Duration::from_secs(2));
}

#[test]
#[ignore = "takes a minute"]
fn a_reader_that_is_stopped_for_a_minute_loses_nothing_that_the_ring_holds() {
    require_root!();
    stop_the_reader(Duration::from_secs(60));
}
