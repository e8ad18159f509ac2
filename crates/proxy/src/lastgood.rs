//! `proxy/routes`: the last table that was in force, for a proxy that starts without an agent.
//!
//! # Format, version 1
//!
//! Four lines of text, each ended by a line feed:
//!
//! ```text
//! skep-routes 1
//! <boot id> <installation id>
//! <crc32c of the next line without its line feed, 8 hexadecimal digits>
//! {"revision":7,"table":{…}}
//! ```
//!
//! Written whole (synced and renamed) before a table comes into force. After a reboot the table is
//! kept and every endpoint in it is taken as not ready: requests wait for the agent instead of
//! being sent to sockets that nobody holds yet.

use std::path::Path;

use control::Revision;
use control::proxy::RouteTable;
use disk::DiskError;
use serde::{Deserialize, Serialize};

use crate::limits::MAX_ROUTES_FILE_BYTES;

const MAGIC: &str = "skep-routes 1";

/// A revision and its table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Saved {
    pub(crate) revision: Revision,
    pub(crate) table: RouteTable,
}

/// Why a file is not used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoadError {
    #[error(transparent)]
    Disk(#[from] DiskError),
    #[error("the last routes are of an unknown format")]
    Format,
    #[error("the last routes belong to installation {0}")]
    Installation(String),
    #[error("the last routes are damaged")]
    Checksum,
    #[error("the last routes do not parse")]
    Json(#[source] serde_json::Error),
    #[error("the last routes are contradictory: {0}")]
    Invalid(String),
}

/// Returns the file's text.
pub(crate) fn encode(
    saved: &Saved,
    boot_id: &str,
    installation: &str,
) -> serde_json::Result<String> {
    let json = serde_json::to_string(saved)?;
    let checksum = crc32c::crc32c(json.as_bytes());
    Ok(format!("{MAGIC}\n{boot_id} {installation}\n{checksum:08x}\n{json}\n"))
}

/// Reads what [`encode`] wrote.
pub(crate) fn decode(text: &str, boot_id: &str, installation: &str) -> Result<Saved, LoadError> {
    let mut lines = text.split('\n');
    let mut next = || lines.next().ok_or(LoadError::Format);
    if next()? != MAGIC {
        return Err(LoadError::Format);
    }
    let (saved_boot, saved_installation) = next()?.split_once(' ').ok_or(LoadError::Format)?;
    if saved_installation != installation {
        return Err(LoadError::Installation(saved_installation.chars().take(40).collect()));
    }
    let (checksum, json) = (next()?, next()?);
    if u32::from_str_radix(checksum, 16) != Ok(crc32c::crc32c(json.as_bytes())) {
        return Err(LoadError::Checksum);
    }
    let mut saved: Saved = serde_json::from_str(json).map_err(LoadError::Json)?;
    crate::table::validate(&saved.table).map_err(LoadError::Invalid)?;
    if saved_boot != boot_id {
        for endpoint in saved.table.services.iter_mut().flat_map(|s| &mut s.endpoints) {
            endpoint.ready = false;
        }
    }
    Ok(saved)
}

/// Reads the file; `None` when there is none.
pub(crate) fn load(
    path: &Path,
    boot_id: &str,
    installation: &str,
) -> Result<Option<Saved>, LoadError> {
    let bytes = match disk::read_limited(path, MAX_ROUTES_FILE_BYTES) {
        Err(error) if error.is_not_found() => return Ok(None),
        other => other?,
    };
    let text = std::str::from_utf8(&bytes).map_err(|_| LoadError::Checksum)?;
    decode(text, boot_id, installation).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;
    use control::SlotId;
    use control::proxy::{Endpoint, EndpointAddress, Service};

    fn saved() -> Saved {
        let endpoint = Endpoint {
            slot: SlotId::new(1, 0),
            address: EndpointAddress::Unix("/run/x".into()),
            ready: true,
            capacity: 8,
            idle_ms: 0,
        };
        let service = Service {
            name: "a/web".parse().unwrap(),
            release: "v1".into(),
            endpoints: vec![endpoint],
            hold_ms: 1,
            hold_requests: 1,
            response_timeout_ms: 1,
            body_limit_bytes: 1,
        };
        Saved {
            revision: Revision(7),
            table: RouteTable { services: vec![service], routes: vec![] },
        }
    }

    #[test]
    fn another_boot_keeps_the_routes_and_voids_readiness() {
        let text = encode(&saved(), "boot", "inst").unwrap();
        assert_eq!(decode(&text, "boot", "inst").unwrap(), saved());
        let after = decode(&text, "another", "inst").unwrap();
        assert!(!after.table.services[0].endpoints[0].ready);
    }

    #[test]
    fn damaged_and_foreign_files_are_refused() {
        let text = encode(&saved(), "boot", "inst").unwrap();
        assert!(matches!(decode(&text, "boot", "other"), Err(LoadError::Installation(_))));
        let damaged = text.replace("v1", "v2");
        assert!(matches!(decode(&damaged, "boot", "inst"), Err(LoadError::Checksum)));
        for end in 0..text.len() - 1 {
            assert!(decode(&text[..end], "boot", "inst").is_err(), "cut at {end}");
        }
        let newer = text.replace("skep-routes 1", "skep-routes 2");
        assert!(matches!(decode(&newer, "boot", "inst"), Err(LoadError::Format)));
    }
}
