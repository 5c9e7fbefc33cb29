//! Times of day: microseconds of the epoch for machines, RFC 3339 with the local offset for people.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::write::Object;
use crate::render::number::zero_padded;

/// Writes times. Most share their second with the one before, which is formatted once.
pub struct Clock {
    zone: TimeZone,
    second: i64,
    /// Up to the point behind the seconds, and the offset behind them.
    text: [String; 2],
}

impl Default for Clock {
    fn default() -> Clock {
        Clock { zone: TimeZone::system(), second: i64::MIN, text: [String::new(), String::new()] }
    }
}

impl Clock {
    /// `time_unix_us` and `time`.
    pub fn write(&mut self, object: &mut Object<'_>, unix_us: i64) {
        object.value("time_unix_us", unix_us);
        object.plain("time", |out| self.rfc3339(out, unix_us));
    }

    /// `2026-11-27T21:05:30.000012+01:00`.
    pub fn rfc3339(&mut self, out: &mut Vec<u8>, unix_us: i64) {
        let (second, micros) = (unix_us.div_euclid(1_000_000), unix_us.rem_euclid(1_000_000));
        if second != self.second {
            self.second = second;
            let time = Timestamp::from_second(second).unwrap_or_default();
            let time = time.to_zoned(self.zone.clone());
            let format = |how: &str| time.strftime(how).to_string();
            self.text = [format("%Y-%m-%dT%H:%M:%S."), format("%:z")];
        }
        let [until_seconds, offset] = &self.text;
        out.extend_from_slice(until_seconds.as_bytes());
        zero_padded(out, micros as u64, 6);
        out.extend_from_slice(offset.as_bytes());
    }
}

/// Now, in microseconds of the epoch.
pub fn now_unix_us() -> i64 {
    Timestamp::now().as_microsecond()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_written_twice() {
        let zone = TimeZone::fixed(jiff::tz::offset(2));
        let mut clock = Clock { zone, ..Clock::default() };
        let mut out = Vec::new();
        clock.write(&mut Object::new(&mut out), 1_000_000_000_000_042);
        let expected =
            r#"{"time_unix_us":1000000000000042,"time":"2001-09-09T03:46:40.000042+02:00"}"#;
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
