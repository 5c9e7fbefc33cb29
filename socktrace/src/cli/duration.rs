//! Times on the command line.

use std::time::Duration;

pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let wanted = || "a time such as 500ms, 5s, 2m or 1h is wanted".to_owned();
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let number: f64 = text[..digits].parse().map_err(|_| wanted())?;
    let seconds = match &text[digits..] {
        "" | "s" => number,
        "ms" => number / 1e3,
        "us" => number / 1e6,
        "m" => number * 60.0,
        "h" => number * 3600.0,
        _ => return Err(wanted()),
    };
    Duration::try_from_secs_f64(seconds).map_err(|_| wanted())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_units() {
        for (text, ms) in [("5s", 5000), ("5", 5000), ("1.5s", 1500), ("20ms", 20), ("2m", 120_000)]
        {
            assert_eq!(duration(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        for text in ["", "s", "5 s", "5d", "-1", "1e3", "."] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
