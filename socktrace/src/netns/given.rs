//! The names that `ip netns` gave, for whoever meets the numbers of namespaces.

use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::MetadataExt;

use rustc_hash::FxHashMap;

use super::NAMES;
use crate::socket::NetnsId;

/// The names that there were when they were read.
#[derive(Debug, Default)]
pub struct GivenNames(FxHashMap<NetnsId, Vec<u8>>);

impl GivenNames {
    pub fn read() -> GivenNames {
        let Ok(namespaces) = fs::metadata("/proc/self/ns/net") else {
            return GivenNames::default();
        };
        let files = fs::read_dir(NAMES).into_iter().flatten().flatten();
        let names = files.filter_map(|file| {
            let metadata = fs::metadata(file.path()).ok()?;
            // Without a mount it is a file that `ip netns` is just about to mount something on.
            let is_namespace = metadata.dev() == namespaces.dev();
            is_namespace.then(|| (NetnsId(metadata.ino()), file.file_name().into_vec()))
        });
        GivenNames(names.collect())
    }

    pub fn of(&self, namespace: NetnsId) -> Option<&[u8]> {
        self.0.get(&namespace).map(Vec::as_slice)
    }
}
