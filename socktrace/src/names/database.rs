//! The text databases `/etc/services` and `/etc/protocols`.

use rustc_hash::FxHashMap;

use crate::filter::Transport;

const TRANSPORTS: [(&[u8], Transport); 4] = [
    (b"tcp", Transport::Tcp),
    (b"udp", Transport::Udp),
    (b"dccp", Transport::Dccp),
    (b"sctp", Transport::Sctp),
];

/// Services by port and by name; of several lines for one the first counts.
#[derive(Debug, Default)]
pub(super) struct Services {
    names: FxHashMap<(u16, Transport), Vec<u8>>,
    ports: FxHashMap<(Vec<u8>, Transport), u16>,
}

impl Services {
    pub(super) fn read() -> Services {
        Services::parse(&std::fs::read("/etc/services").unwrap_or_default())
    }

    pub(super) fn parse(text: &[u8]) -> Services {
        let mut services = Services::default();
        for mut words in lines(text) {
            if let Some((name, port, transport)) = service(&mut words) {
                services.names.entry((port, transport)).or_insert_with(|| name.to_vec());
                for name in std::iter::once(name).chain(words) {
                    services.ports.entry((name.to_vec(), transport)).or_insert(port);
                }
            }
        }
        services
    }

    pub(super) fn name(&self, port: u16, transport: Transport) -> Option<&[u8]> {
        self.names.get(&(port, transport)).map(Vec::as_slice)
    }

    pub(super) fn port(&self, name: &[u8], transport: Transport) -> Option<u16> {
        self.ports.get(&(name.to_vec(), transport)).copied()
    }
}

/// `NAME PORT/TRANSPORT`, up to the aliases.
fn service<'a>(words: &mut impl Iterator<Item = &'a [u8]>) -> Option<(&'a [u8], u16, Transport)> {
    let name = words.next()?;
    let mut parts = words.next()?.splitn(2, |byte| *byte == b'/');
    let port = std::str::from_utf8(parts.next()?).ok()?.parse().ok()?;
    let transport = parts.next()?;
    let (_, transport) = TRANSPORTS.iter().find(|(word, _)| *word == transport)?;
    Some((name, port, *transport))
}

/// IP protocols by number.
#[derive(Debug, Default)]
pub(super) struct Protocols {
    names: FxHashMap<u8, Vec<u8>>,
}

impl Protocols {
    pub(super) fn read() -> Protocols {
        Protocols::parse(&std::fs::read("/etc/protocols").unwrap_or_default())
    }

    pub(super) fn parse(text: &[u8]) -> Protocols {
        let mut names = FxHashMap::default();
        for mut words in lines(text) {
            let name = words.next();
            let number = words.next().and_then(|word| std::str::from_utf8(word).ok()?.parse().ok());
            if let (Some(name), Some(number)) = (name, number) {
                names.entry(number).or_insert_with(|| name.to_vec());
            }
        }
        Protocols { names }
    }

    pub(super) fn name(&self, number: u8) -> Option<&[u8]> {
        self.names.get(&number).map(Vec::as_slice)
    }

    pub(super) fn number(&self, name: &[u8]) -> Option<u8> {
        let known = self.names.iter().find(|(_, known)| known.as_slice() == name);
        known.map(|(number, _)| *number)
    }
}

/// The words of each line, without comments.
pub(super) fn lines(text: &[u8]) -> impl Iterator<Item = impl Iterator<Item = &[u8]>> {
    text.split(|byte| *byte == b'\n').map(|line| {
        let end = line.iter().position(|byte| *byte == b'#').unwrap_or(line.len());
        line[..end].split(u8::is_ascii_whitespace).filter(|word| !word.is_empty())
    })
}
