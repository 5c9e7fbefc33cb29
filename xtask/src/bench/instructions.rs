//! How many instructions a socket takes on its way from a recorded dump to its line: a figure that
//! does not wobble, with a bound for it.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;

#[derive(Args)]
pub(crate) struct Instructions {
    /// Fail where a figure is above its bound
    #[arg(long)]
    check: bool,
}

/// Each listing, and how many instructions a socket of the recorded dump may take: a twenty-fifth
/// more than it took when this was written.
const BOUNDS: &[(&str, u64)] =
    &[("-tan", 3_320), ("-tani", 7_560), ("-tanemo", 8_280), ("-tan sport = :1", 1_600)];

/// A dump of 29 sockets in many states, which `-D` wrote.
const DUMP: &str = "tests/vectors/tcp.dump";
const SOCKET: u16 = 20;
/// What is counted is the difference between many and few, so that the start is not in it.
const FEW: usize = 20;
const MANY: usize = 220;

pub(crate) fn run(options: &Instructions) -> Result<()> {
    let ours = super::release_binary()?;
    let folder = std::env::temp_dir().join(format!("socktrace-count-{}", std::process::id()));
    fs::create_dir_all(&folder)?;
    let result = count_all(options, &ours, &folder);
    fs::remove_dir_all(&folder)?;
    result
}

fn count_all(options: &Instructions, ours: &Path, folder: &Path) -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let recorded = fs::read(root.join(DUMP)).with_context(|| format!("cannot read {DUMP}"))?;
    let (sockets, number) = sockets(&recorded)?;
    let (few, many) = (folder.join("few"), folder.join("many"));
    fs::write(&few, repeated(&sockets, FEW))?;
    fs::write(&many, repeated(&sockets, MANY))?;
    let more = (number * (MANY - FEW)) as u64;
    println!("{:<24}{:>24}{:>10}", "", "instructions a socket", "bound");
    let mut above = Vec::new();
    for (listing, bound) in BOUNDS {
        let [less, all] = [&few, &many].map(|dump| count(ours, listing, dump, folder));
        let each = (all? - less?) / more;
        println!("{listing:<24}{each:>24}{bound:>10}");
        if each > *bound {
            above.push(*listing);
        }
    }
    if options.check && !above.is_empty() {
        bail!("above the bound: {} (see xtask/src/bench/instructions.rs)", above.join(", "));
    }
    Ok(())
}

/// The messages of a dump that tell of sockets, and how many there are.
fn sockets(dump: &[u8]) -> Result<(Vec<u8>, usize)> {
    let (mut rest, mut sockets, mut number) = (dump, Vec::new(), 0);
    while let Some((header, _)) = rest.split_first_chunk::<6>() {
        let length = u32::from_ne_bytes([header[0], header[1], header[2], header[3]]) as usize;
        let padded = length.next_multiple_of(4);
        let message = rest.get(..padded).context("a message is cut short")?;
        if u16::from_ne_bytes([header[4], header[5]]) == SOCKET {
            sockets.extend_from_slice(message);
            number += 1;
        }
        rest = &rest[padded..];
    }
    ensure!(number > 0, "no socket is in {DUMP}");
    Ok((sockets, number))
}

/// The messages so many times, and the one that ends a dump.
fn repeated(sockets: &[u8], times: usize) -> Vec<u8> {
    const DONE: [u16; 10] = [20, 0, 3, 0, 0, 0, 0, 0, 0, 0];
    let mut dump = sockets.repeat(times);
    dump.extend(DONE.into_iter().flat_map(u16::to_ne_bytes));
    dump
}

fn count(ours: &Path, listing: &str, dump: &Path, folder: &Path) -> Result<u64> {
    let counts = folder.join("counts");
    let status = Command::new("valgrind")
        .args(["--tool=callgrind", "--quiet"])
        .arg(format!("--callgrind-out-file={}", counts.display()))
        .arg(ours)
        .args(listing.split(' '))
        .env("TCPDIAG_FILE", dump)
        .stdout(Stdio::null())
        .status()
        .context("cannot run valgrind (apt-get install valgrind)")?;
    ensure!(status.success(), "valgrind failed ({status})");
    let text = fs::read_to_string(&counts)?;
    let total = text.lines().find_map(|line| line.strip_prefix("totals: "));
    total.context("valgrind counted nothing")?.trim().parse().context("a count is no number")
}
