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

/// Growth of a server's files that counts, in bytes.
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
            // Servers of CloudNativePG say it behind its prefix, and whose package they are of.
            let line = line.strip_prefix("cnpg_").unwrap_or(line);
            let labels = line.strip_prefix("trackbed_database_server_info{")?;
            let (_, value) = labels.split_once("version=\"")?;
            let (value, _) = value.split_once('"')?;
            value.split_whitespace().next().map(str::to_owned)
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

    /// Whether the difference is worth a look: of a Database whose volume has that capacity, something
    /// else would be told. What swings about a step is not told with each swing.
    pub fn differs(&self, other: &Self, capacity: Option<&str>) -> bool {
        let same = self.version == other.version && self.primary == other.primary;
        let told = |it: &Self| usage(Some(&it.volume), capacity);
        let moved = || self.volume.differs(&other.volume) && told(self) != told(other);
        !same || self.databases != other.databases || moved()
    }
}

/// What is said of a volume, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Volume {
    /// What the server's files take.
    data: u64,
    /// The file system. `None`: who says this sees the files only, as a server does.
    system: Option<System>,
}

/// A file system, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct System {
    /// Its size.
    size: u64,
    /// What is left on it.
    available: u64,
}

impl System {
    fn is_full(&self) -> bool {
        self.available < FULL
    }
}

impl Volume {
    /// Reads metrics. `None`: they do not say it.
    pub fn read(metrics: &str) -> Option<Self> {
        let number = |name: &str| {
            let mut lines = metrics.lines();
            let value = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
            // Others write what is large as 1.5e+08.
            let value = value.trim().parse::<f64>().ok()?;
            (value >= 0.0).then_some(value as u64)
        };
        let system = || {
            Some(System {
                size: number("trackbed_database_volume_bytes")?,
                available: number("trackbed_database_volume_available_bytes")?,
            })
        };
        match number("trackbed_database_data_bytes") {
            Some(data) => Some(Self {
                data,
                system: Some(system()?),
            }),
            None => Some(Self {
                data: number("cnpg_trackbed_database_data_bytes")?,
                system: None,
            }),
        }
    }

    /// Whether it moved. A server that works writes all the time.
    fn differs(&self, other: &Self) -> bool {
        let system = match (&self.system, &other.system) {
            (Some(one), Some(two)) => {
                let left = one.available.abs_diff(two.available);
                one.is_full() != two.is_full()
                    || one.size != two.size
                    || left.saturating_mul(100) >= one.size
            }
            (one, two) => one.is_some() != two.is_some(),
        };
        system || self.data.abs_diff(other.data) >= GROWTH
    }

    /// Of several volumes of one size the one with the least left.
    pub fn fullest(all: impl Iterator<Item = Self>) -> Option<Self> {
        all.min_by_key(|it| match &it.system {
            Some(system) => system.available,
            None => u64::MAX - it.data,
        })
    }

    /// How much of what was asked for is taken, in percent. A volume may be a folder of a file system
    /// that others write to as well: then its own files count, and nobody sees to its size. `None`:
    /// nobody knows of how much.
    fn percent(&self, claimed: Option<u64>) -> Option<u64> {
        let (taken, of) = match (&self.system, claimed) {
            (None, claimed) => (self.data, leaves(claimed?)),
            (Some(system), Some(claimed)) if system.size > claimed.saturating_mul(3) / 2 => {
                (self.data, claimed)
            }
            (Some(system), _) => (system.size.saturating_sub(system.available), system.size),
        };
        Some(taken.saturating_mul(100) / of.max(1))
    }
}

/// What a file system of a size leaves for files at least: XFS takes 64 MiB for its log, ext4 keeps 5%
/// for root and takes another 2%.
fn leaves(size: u64) -> u64 {
    (size / 100 * 92).saturating_sub(64 << 20)
}

/// How full the volume is, in words. `None`: nobody knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    percent: u64,
    /// What is left where nothing more goes in, in MiB.
    full: Option<u64>,
}

/// How full the volume is of a Database that has that much of it.
pub fn usage(volume: Option<&Volume>, capacity: Option<&str>) -> Option<Usage> {
    let volume = volume?;
    let claimed = capacity.and_then(|it| Quantity::from(it).units());
    let percent = volume.percent(claimed.and_then(|it| u64::try_from(it).ok()))?;
    let full = volume.system.filter(System::is_full);
    Some(Usage {
        percent: percent / STEP * STEP,
        full: full.map(|it| it.available >> 20),
    })
}

impl Usage {
    /// For status.
    pub fn used(&self) -> String {
        format!("{}%", self.percent)
    }

    /// Health of a Database that would be well but for its volume.
    pub fn health(&self, health: Health) -> Health {
        match (health, self.full) {
            (Health::Ready(_), Some(left)) => Health::Stalled(
                Reason::StorageFull,
                format!(
                    "{left} MiB are left on the volume, and the server takes no more: raise storage.size, or make room"
                ),
            ),
            (health, _) => health,
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
        Some(usage) if ended || usage.full.is_some() || usage.percent >= AMPLE => {
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
