//! How full a volume is.

use trackbed_api::{
    common::condition::STORAGE_AMPLE, database::DatabaseStatus, reason::Reason, scalar::Quantity,
};
use trackbed_kit::{Fact, Health};

use super::{said, told::Told};

/// Part of the volume that may be taken before it is warned of, in percent.
const AMPLE: u64 = 85;
/// Steps in which it is told, in percent: each is a write to the API server.
const STEP: u64 = 5;
/// Less than this left is full, in bytes: Postgres ends without room for the next segment of its log.
const FULL: u64 = 16 << 20;

/// Growth of a server's files that is told, in bytes.
const GROWTH: u64 = 16 << 20;

/// What a supervisor says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Of its volume.
    pub volume: Volume,
    /// Of its server: the version.
    pub version: Option<String>,
    /// Whether that is the primary, of several that Sentinels watch.
    pub primary: Option<bool>,
    /// Of further databases in it.
    pub databases: Option<Told>,
}

impl Report {
    /// Reads metrics. `None`: they do not say how the volume is.
    pub fn read(metrics: &str) -> Option<Self> {
        let version = metrics.lines().find_map(|line| {
            let labels = line.strip_prefix("trackbed_database_server_info{")?;
            let (_, value) = labels.split_once("version=\"")?;
            Some(value.split_once('"')?.0.to_owned())
        });
        Some(Self {
            volume: Volume::read(metrics)?,
            version,
            primary: metrics.lines().find_map(|line| {
                let value = line.strip_prefix("trackbed_database_primary ")?;
                Some(value.trim() == "1")
            }),
            databases: Told::read(metrics),
        })
    }

    /// Whether the difference is worth a look.
    pub fn differs(&self, other: &Self) -> bool {
        let same = self.version == other.version && self.primary == other.primary;
        !same || self.databases != other.databases || self.volume.differs(&other.volume)
    }
}

/// What a supervisor says of its volume, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Volume {
    /// What the server's files take.
    data: u64,
    /// Size of the file system.
    size: u64,
    /// What is left on it.
    available: u64,
}

impl Volume {
    /// Reads metrics. `None`: they do not say it.
    pub fn read(metrics: &str) -> Option<Self> {
        let number = |name: &str| {
            let mut lines = metrics.lines();
            let value = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
            value.trim().parse::<u64>().ok()
        };
        Some(Self {
            data: number("trackbed_database_data_bytes")?,
            size: number("trackbed_database_volume_bytes")?,
            available: number("trackbed_database_volume_available_bytes")?,
        })
    }

    /// Whether the difference is worth a look. A server that works writes all the time.
    pub fn differs(&self, other: &Self) -> bool {
        let left = self.available.abs_diff(other.available);
        let full = |it: &Self| it.available < FULL;
        full(self) != full(other)
            || self.size != other.size
            || left.saturating_mul(100) >= self.size
            || self.data.abs_diff(other.data) >= GROWTH
    }

    /// Of several volumes the one with the least left.
    pub fn fullest(all: impl Iterator<Item = Self>) -> Option<Self> {
        all.min_by_key(|it| it.available)
    }

    /// How much of what was asked for is taken, in percent. A volume may be a folder of a file system
    /// that others write to as well: then its own files count, and nobody sees to its size.
    fn percent(&self, claimed: Option<u64>) -> u64 {
        let shared = claimed.filter(|claimed| self.size > claimed.saturating_mul(3) / 2);
        let (taken, of) = match shared {
            Some(claimed) => (self.data, claimed),
            None => (self.size.saturating_sub(self.available), self.size),
        };
        taken.saturating_mul(100) / of.max(1)
    }
}

/// How full the volume is, in words. `None`: nobody knows.
pub struct Usage {
    percent: u64,
    left: u64,
    full: bool,
}

/// How full the volume is of a Database that has that much of it.
pub fn usage(volume: Option<&Volume>, capacity: Option<&str>) -> Option<Usage> {
    let volume = volume?;
    let claimed = capacity.and_then(|it| Quantity::from(it).units());
    let percent = volume.percent(claimed.and_then(|it| u64::try_from(it).ok()));
    Some(Usage {
        percent: percent / STEP * STEP,
        left: volume.available >> 20,
        full: volume.available < FULL,
    })
}

impl Usage {
    /// For status.
    pub fn used(&self) -> String {
        format!("{}%", self.percent)
    }

    /// Health of a Database that would be well but for its volume.
    pub fn health(&self, health: Health) -> Health {
        match health {
            Health::Ready(_) if self.full => Health::Stalled(
                Reason::StorageFull,
                format!(
                    "{} MiB are left on the volume, and the server takes no more: raise storage.size, or make room",
                    self.left
                ),
            ),
            health => health,
        }
    }
}

/// The condition. A server that ended for want of room counts more than what its supervisor, who may
/// not answer any more, said before; as long as nobody knows, what was said holds.
pub fn fact(
    usage: Option<&Usage>,
    health: &Health,
    size: Option<&str>,
    before: &DatabaseStatus,
) -> Option<Fact> {
    let size = size.unwrap_or("the volume");
    let ended = health.ready().1 == Reason::StorageFull.as_str();
    let taken = match usage {
        Some(usage) if ended || usage.full || usage.percent >= AMPLE => {
            format!("{}% of {size} are taken", usage.percent)
        }
        None if ended => format!("no room is left on {size}"),
        Some(_) => {
            let message = format!("less than {AMPLE}% of {size} are taken");
            return Some(Fact::new(
                STORAGE_AMPLE,
                Some(true),
                "StorageAmple",
                message,
            ));
        }
        None => return said(before, STORAGE_AMPLE),
    };
    let message = format!("{taken}: raise storage.size, or make room");
    Some(Fact::new(
        STORAGE_AMPLE,
        Some(false),
        "StorageAlmostFull",
        message,
    ))
}
