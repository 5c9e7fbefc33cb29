//! Which kernel is running, for what it does not tell otherwise.

/// The first two numbers of its release.
pub(crate) fn kernel_version() -> Option<(u32, u32)> {
    version(rustix::system::uname().release().to_str().ok()?)
}

fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::version;

    #[test]
    fn versions_are_read_from_releases() {
        assert_eq!(version("5.10.0-46-cloud-amd64"), Some((5, 10)));
        assert_eq!(version("6.18.44-fc"), Some((6, 18)));
        assert_eq!(version("7.2-rc1"), Some((7, 2)));
        assert_eq!(version("unknown"), None);
    }
}
