//! Times since boot as people read them.

use std::fs;
use std::mem;
use std::sync::OnceLock;

use rustix::time::{ClockId, clock_gettime};

use super::row::Row;
use crate::event::SinceBoot;
use crate::render::number::padded_decimal;

/// Which times stand before events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum TimeStyle {
    /// The time of day
    #[default]
    Wall,
    /// Seconds since the trace began
    Relative,
    /// Seconds since the line before
    Delta,
}

/// Now.
pub fn since_boot() -> SinceBoot {
    SinceBoot { nanos: boot_nanos() as u64 }
}

/// As the kernel's own programs count: in a time namespace, processes are told another time.
fn boot_nanos() -> i64 {
    static OFFSET: OnceLock<i64> = OnceLock::new();
    let offset = OFFSET.get_or_init(|| {
        let offsets = fs::read_to_string("/proc/self/timens_offsets").unwrap_or_default();
        boot_offset(&offsets).unwrap_or(0)
    });
    nanos(ClockId::Boottime) - offset
}

/// What a line such as `boottime  86400  0` adds.
fn boot_offset(offsets: &str) -> Option<i64> {
    let line = offsets.lines().find_map(|line| line.strip_prefix("boottime"))?;
    let mut numbers = line.split_whitespace().map(|number| number.parse::<i64>().ok());
    Some(numbers.next()?? * 1_000_000_000 + numbers.next()??)
}

/// What is to be added to a time since boot to make it one of the epoch, of a few looks the one
/// that took least: what interrupts a look would pass for a distance of the clocks.
fn epoch() -> i64 {
    const PROMPT_NANOS: i64 = 20_000;
    let mut best = (i64::MAX, 0);
    for _ in 0..4 {
        let before = boot_nanos();
        let unix = nanos(ClockId::Realtime);
        let took = boot_nanos() - before;
        best = best.min((took, unix - before - took / 2));
        if took < PROMPT_NANOS {
            break;
        }
    }
    best.1
}

/// Good until 2262.
fn nanos(clock: ClockId) -> i64 {
    let time = clock_gettime(clock);
    time.tv_sec * SECOND as i64 + time.tv_nsec
}

pub(super) struct Clock {
    style: TimeStyle,
    start: SinceBoot,
    before: SinceBoot,
    /// See [`epoch`]: the clock may be set meanwhile, so it is looked at anew when a second has gone.
    epoch: i64,
    looked: u64,
    zone: jiff::tz::TimeZone,
    /// The second that was written last: most events share it with the one before.
    second: Second,
}

/// A second of the day, or the part of it before the clocks are looked at anew.
#[derive(Default)]
struct Second {
    /// Nanoseconds since boot: where that part begins, how long it is, and where the second began.
    from: u64,
    length: u64,
    began: u64,
    /// With a point behind it.
    text: [u8; 9],
}

const SECOND: u64 = 1_000_000_000;

impl Clock {
    pub(super) fn new(style: TimeStyle) -> Clock {
        let start = since_boot();
        Clock {
            style,
            start,
            before: start,
            epoch: 0,
            looked: u64::MAX,
            zone: jiff::tz::TimeZone::system(),
            second: Second::default(),
        }
    }

    /// Microseconds of the epoch.
    pub(super) fn unix_us(&mut self, at: SinceBoot) -> i64 {
        self.unix_nanos(at) / 1000
    }

    fn unix_nanos(&mut self, at: SinceBoot) -> i64 {
        if self.looked != at.nanos / SECOND {
            self.looked = at.nanos / SECOND;
            self.epoch = epoch();
        }
        self.epoch.saturating_add_unsigned(at.nanos)
    }

    #[inline(always)]
    pub(super) fn write<'r, 'a>(&mut self, row: &'r mut Row<'a>, at: SinceBoot) -> &'r mut Row<'a> {
        match self.style {
            TimeStyle::Wall => {
                if at.nanos.wrapping_sub(self.second.from) >= self.second.length {
                    self.second = self.second_of(at);
                }
                let nanos = at.nanos.wrapping_sub(self.second.began);
                row.put(self.second.text, self.second.text.len());
                fraction(row, (nanos / 1000) as u32)
            }
            TimeStyle::Relative => seconds(row, at, self.start),
            TimeStyle::Delta => {
                let before = mem::replace(&mut self.before, at);
                seconds(row, at, before)
            }
        }
    }

    #[cold]
    fn second_of(&mut self, at: SinceBoot) -> Second {
        let unix = self.unix_nanos(at);
        let (second, nanos) = (unix.div_euclid(SECOND as i64), unix.rem_euclid(SECOND as i64));
        let time = jiff::Timestamp::from_second(second).unwrap_or_default();
        let text = self.zone.to_datetime(time).strftime("%H:%M:%S.").to_string();
        // It may have begun before the clocks were looked at, and end after it.
        let (nanos, since_look) = (nanos as u64, at.nanos % SECOND);
        let from = at.nanos - nanos.min(since_look);
        Second {
            from,
            length: SECOND - nanos.max(since_look) + (at.nanos - from),
            began: at.nanos.wrapping_sub(nanos),
            text: text.as_bytes().try_into().unwrap_or(*b"--:--:--."),
        }
    }
}

/// Seconds from one time to another, which may be the later one.
#[inline(always)]
fn seconds<'r, 'a>(row: &'r mut Row<'a>, to: SinceBoot, from: SinceBoot) -> &'r mut Row<'a> {
    if to < from {
        row.text("-");
    }
    let micros = to.nanos.abs_diff(from.nanos) / 1000;
    row.number(micros / 1_000_000).text(".");
    fraction(row, (micros % 1_000_000) as u32)
}

/// The microseconds of a second.
#[inline(always)]
fn fraction<'r, 'a>(row: &'r mut Row<'a>, micros: u32) -> &'r mut Row<'a> {
    row.put(padded_decimal(micros, 6).text, 6)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(nanos: u64) -> SinceBoot {
        SinceBoot { nanos }
    }

    fn texts(style: TimeStyle, times: &[u64]) -> Vec<String> {
        let mut clock = Clock::new(style);
        (clock.start, clock.before) = (at(1_000_000_000), at(1_000_000_000));
        let mut text = |time| {
            let mut out = Vec::new();
            let mut row = Row::new(&mut out, &[]);
            clock.write(&mut row, at(time)).end();
            row.finish();
            String::from_utf8(out).unwrap().trim_end().to_owned()
        };
        times.iter().map(|time| text(*time)).collect()
    }

    #[test]
    fn times_can_be_told_from_the_start_or_from_the_line_before() {
        let times = [1_000_001_000, 2_500_000_000, 2_400_000_000];
        assert_eq!(texts(TimeStyle::Relative, &times), ["0.000001", "1.500000", "1.400000"]);
        assert_eq!(texts(TimeStyle::Delta, &times), ["0.000001", "1.499999", "-0.100000"]);
    }

    #[test]
    fn the_offset_of_a_time_namespace_is_read() {
        let text = "monotonic           0         0\nboottime       -86400  500000000\n";
        assert_eq!(boot_offset(text), Some(-86_399_500_000_000));
        assert_eq!(boot_offset(""), None);
    }

    #[test]
    fn the_time_of_day_is_that_of_the_epoch() {
        let mut clock = Clock::new(TimeStyle::Wall);
        clock.zone = jiff::tz::TimeZone::UTC;
        for step in 0..5000 {
            // Back and forth over seconds of either clock.
            let time = at(7_000_000_000 + step * 777_777_777 % 3_999_999_937);
            let mut out = Vec::new();
            let mut row = Row::new(&mut out, &[]);
            clock.write(&mut row, time).end();
            row.finish();
            let expected = jiff::Timestamp::from_microsecond(clock.unix_us(time)).unwrap();
            let expected = expected.strftime("%H:%M:%S.%6f\n").to_string();
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
    }

    #[test]
    fn a_time_of_day_has_microseconds() {
        let text = &texts(TimeStyle::Wall, &[5_000_042_999])[0];
        assert_eq!(text.len(), "23:59:59.000042".len(), "{text}");
    }
}
