//! Which BPF socket storage a listing asks the kernel for.

use crate::bpfmap::{MapError, StorageMap};
use crate::cli::plan::Storage;
use crate::diag::inet::storage_map;

/// The maps of BPF storage to ask for, held open while they are.
pub(super) enum StorageRequest {
    None,
    All,
    Maps(Vec<StorageMap>),
}

impl StorageRequest {
    pub(super) fn new(storage: &Storage) -> Result<StorageRequest, MapError> {
        Ok(match storage {
            Storage::None => StorageRequest::None,
            Storage::All => StorageRequest::All,
            Storage::Maps(ids) => {
                let maps: Result<_, _> = ids.iter().map(|id| StorageMap::open(*id)).collect();
                StorageRequest::Maps(maps?)
            }
        })
    }

    /// What selects them in a request.
    pub(super) fn attributes(&self) -> Option<Vec<u8>> {
        match self {
            StorageRequest::None => None,
            StorageRequest::All => Some(Vec::new()),
            StorageRequest::Maps(maps) => {
                Some(maps.iter().flat_map(|map| storage_map(map.raw_fd())).collect())
            }
        }
    }
}
