//! Hours of connections with `life` and `trace` on: whether memory or descriptors grow, and whether
//! anything is lost.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};

use super::load::{End, FIRST_PORT, Load, Workers};
use super::tracer::{EndLine, has_port};
use super::{given_or_release, population};

#[derive(Debug, clap::Args)]
pub(crate) struct Soak {
    /// How long: 90s, 10m, 1h
    #[arg(long = "for", value_name = "TIME", value_parser = time, default_value = "1h")]
    time: Duration,
    /// Connections a second
    #[arg(long, default_value_t = 400.0)]
    rate: f64,
    /// The socktrace to run; the release build of this tree without
    #[arg(long)]
    socktrace: Option<PathBuf>,
}

/// How long each stretch of load is, with a look at the tracers behind it.
const STRETCH: Duration = Duration::from_secs(10);
/// Until then memory may grow: buffers, tables and the allocator reach their size.
const WARM_UP: f64 = 0.3;
/// What memory may vary by afterwards.
const SLACK_KIB: u64 = 2048;
/// How many looks at the end are taken together.
const LAST_LOOKS: usize = 6;
const PORTS: u16 = 2;
/// Where namespaces have their names.
const NAMES: &str = "/run/netns";

fn time(text: &str) -> Result<Duration, String> {
    let wrong = || "a time such as 90s, 10m or 1h is wanted".to_owned();
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let number: u64 = digits.parse().map_err(|_| wrong())?;
    let seconds = match &text[digits.len()..] {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return Err(wrong()),
    };
    Ok(Duration::from_secs(number * seconds))
}

/// The name of this process's network namespace, for as long as it runs.
struct Named(String);

impl Named {
    fn new() -> Result<Named> {
        let name = format!("socktrace-soak-{}", std::process::id());
        fs::create_dir_all(NAMES)?;
        fs::write(Path::new(NAMES).join(&name), "")?;
        rustix::mount::mount_bind("/proc/self/ns/net", Path::new(NAMES).join(&name))?;
        Ok(Named(name))
    }
}

impl Drop for Named {
    fn drop(&mut self) {
        let path = Path::new(NAMES).join(&self.0);
        let _ = rustix::mount::unmount(&path, rustix::mount::UnmountFlags::DETACH);
        let _ = fs::remove_file(path);
    }
}

/// A tracer that goes on, and what has come from it so far.
struct Watched {
    name: &'static str,
    child: Child,
    ends: Arc<AtomicU64>,
    readers: Vec<JoinHandle<()>>,
    losses: Arc<AtomicU64>,
    looks: Vec<Look>,
}

/// What a tracer uses.
#[derive(Debug, Clone, Copy)]
struct Look {
    rss_kib: u64,
    descriptors: usize,
}

pub(crate) fn run(options: &Soak) -> Result<()> {
    let socktrace = given_or_release(options.socktrace.as_deref())?;
    population::enter_namespace()?;
    let namespace = Named::new()?;
    let mut tracers = [
        Watched::start(&socktrace, "life", EndLine::Each, &namespace.0)?,
        Watched::start(&socktrace, "trace", EndLine::Transition, &namespace.0)?,
    ];
    println!(
        "{:>8}{:>12} | {:>9}{:>12}{:>8} | {:>9}{:>12}{:>8}",
        "seconds", "made", "life RSS", "ends", "files", "trace RSS", "ends", "files"
    );
    let started = Instant::now();
    let mut made = 0;
    while started.elapsed() < options.time {
        let left = options.time.saturating_sub(started.elapsed()).min(STRETCH);
        // Resets in every other stretch.
        let end = if (started.elapsed().as_secs() / STRETCH.as_secs()).is_multiple_of(2) {
            End::Close
        } else {
            End::Reset
        };
        made += Workers::start(&loads(options.rate, end, left))?.run()?.connections;
        print!("{:>8}{made:>12}", started.elapsed().as_secs());
        for tracer in &mut tracers {
            let look = tracer.look()?;
            let ends = tracer.ends.load(Ordering::Relaxed);
            print!(" | {:>7} K{ends:>12}{:>8}", look.rss_kib, look.descriptors);
        }
        println!();
        std::io::stdout().flush()?;
    }
    let mut wrong = Vec::new();
    for tracer in tracers {
        wrong.extend(tracer.stop(made)?);
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("; "));
    println!("{made} connections: memory flat, no descriptor more, nothing lost");
    Ok(())
}

fn loads(rate: f64, end: End, time: Duration) -> Vec<Load> {
    (0..PORTS)
        .map(|worker| Load {
            port: FIRST_PORT + worker,
            connections: u64::MAX,
            end,
            rate: Some(rate / f64::from(PORTS)),
            seconds: time.as_secs_f64(),
            mark: false,
        })
        .collect()
}

impl Watched {
    fn start(
        socktrace: &Path,
        name: &'static str,
        end: EndLine,
        namespace: &str,
    ) -> Result<Watched> {
        let mut child = Command::new(socktrace)
            // Others may make connections of the same kind elsewhere.
            .args([name, "--no-header", "--net", namespace])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot run {}", socktrace.display()))?;
        let ends = Arc::new(AtomicU64::new(0));
        let losses = Arc::new(AtomicU64::new(0));
        let mut errors = BufReader::new(child.stderr.take().context("stderr is piped")?);
        let mut line = String::new();
        while !line.contains("tracing") {
            line.clear();
            if errors.read_line(&mut line)? == 0 {
                bail!("{name} does not trace");
            }
        }
        let lost = Arc::clone(&losses);
        let complaints = thread::spawn(move || {
            for line in errors.lines().map_while(Result::ok) {
                eprintln!("{line}");
                lost.fetch_add(1, Ordering::Relaxed);
            }
        });
        let output = BufReader::new(child.stdout.take().context("stdout is piped")?);
        let counted = Arc::clone(&ends);
        let ports: Vec<String> = (0..PORTS).map(|port| (FIRST_PORT + port).to_string()).collect();
        let events = thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if end.is_in(&line) && ports.iter().any(|port| has_port(&line, port)) {
                    counted.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
        let readers = vec![complaints, events];
        Ok(Watched { name, child, ends, readers, losses, looks: Vec::new() })
    }

    fn look(&mut self) -> Result<Look> {
        let process = PathBuf::from(format!("/proc/{}", self.child.id()));
        let status = fs::read_to_string(process.join("status"))
            .with_context(|| format!("{} has ended", self.name))?;
        let rss = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let rss = rss.and_then(|rss| rss.split_whitespace().next()?.parse().ok());
        let look = Look {
            rss_kib: rss.context("no VmRSS")?,
            descriptors: fs::read_dir(process.join("fd"))?.count(),
        };
        self.looks.push(look);
        Ok(look)
    }

    /// Ends it; what was wrong with it.
    fn stop(mut self, made: u64) -> Result<Vec<String>> {
        kill_process(Pid::from_child(&self.child), Signal::INT)?;
        let status = self.child.wait()?;
        for reader in self.readers {
            let _ = reader.join();
        }
        let name = self.name;
        let mut wrong = Vec::new();
        let ends = self.ends.load(Ordering::Relaxed);
        if ends != 2 * made {
            wrong.push(format!("{name} told {ends} ends of {}", 2 * made));
        }
        let losses = self.losses.load(Ordering::Relaxed);
        if losses > 0 || !status.success() {
            wrong.push(format!("{name} complained {losses} times and ended with {status}"));
        }
        let warm = (self.looks.len() as f64 * WARM_UP).ceil() as usize;
        let (before, after) = self.looks.split_at(warm.min(self.looks.len()));
        let most = |looks: &[Look]| looks.iter().map(|look| look.rss_kib).max().unwrap_or(0);
        if most(after) > most(before) + SLACK_KIB {
            wrong.push(format!("{name} grew from {} to {} KiB", most(before), most(after)));
        }
        // A file may be open for the moment of a look; what leaks is there at each.
        let (most, least) = (
            before.iter().map(|look| look.descriptors).max().unwrap_or(0),
            after.iter().rev().take(LAST_LOOKS).map(|look| look.descriptors).min().unwrap_or(0),
        );
        if least > most {
            wrong.push(format!("{name} has {least} descriptors, of {most}"));
        }
        Ok(wrong)
    }
}
