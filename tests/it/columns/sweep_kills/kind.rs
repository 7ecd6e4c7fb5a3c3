//! The kinds of sweeps, and the keys that they use.

use std::path::Path;

use strongroom::columns::{BlindIndex, Column, ColumnKeys, RowId, Sweep, SweepColumns};
use strongroom::crypto::CryptoBackend;
use strongroom::key::{KeySpec, KeyUsage, OnDemandRotationLimit};
use strongroom::request::CreateKeyRequest;
use strongroom::seal::RootKey;
use strongroom::store::SqliteStore;
use strongroom::{Error, ErrorKind, Kms, KmsLimits, Result};

use super::super::support::{Mode, TestResult};

pub(super) const TENANTS: [&str; 2] = ["acme", "globex"];

/// A kind of sweep. The column `secret` contains encrypted values, and `phone` plaintext.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Re-encrypts `secret`.
    Renew,
    /// Encrypts `phone` into `secret`.
    Convert,
    /// Encrypts plaintext in `secret`.
    ConvertInPlace,
}

impl Kind {
    const ALL: [Self; 3] = [Self::Renew, Self::Convert, Self::ConvertInPlace];

    pub(super) fn name(self) -> String {
        format!("{self:?}")
    }

    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Returns sweeps that change as much as possible, in small batches.
    pub(super) fn sweeps(self, place: &Place, mode: Mode) -> TestResult<Vec<(Sweep<String>, SweepColumns)>> {
        let mut sweeps = self.completing_sweeps(place, mode)?;
        if self != Self::Convert {
            sweeps.extend(
                self.completing_sweeps(place, mode)?.into_iter().map(|(sweep, names)| (sweep.rewrite_all(), names)),
            );
        }
        Ok(sweeps.into_iter().map(|(sweep, names)| (sweep.batch_size(4), names)).collect())
    }

    /// Returns sweeps after which all rows are encrypted under the newest key.
    pub(super) fn completing_sweeps(self, place: &Place, mode: Mode) -> TestResult<Vec<(Sweep<String>, SweepColumns)>> {
        let column = place.column(mode)?;
        let names = |source| SweepColumns::new("users", "id", source).tenant("tenant").index("phone_index");
        let with_index = |sweep: Sweep<String>| {
            let index = place.index.clone();
            sweep.index(move |row, text: &String| index.of_text(row.tenant_name(), text))
        };
        let renew = (with_index(Sweep::new(&column)), names("secret"));
        Ok(match self {
            Self::Renew => vec![renew],
            Self::Convert => vec![(with_index(Sweep::convert(&column, text)), names("phone").target("secret")), renew],
            Self::ConvertInPlace => vec![(with_index(Sweep::convert_in_place(&column, text)), names("secret"))],
        })
    }
}

fn text(_: &RowId, bytes: &[u8]) -> Result<String> {
    String::from_utf8(bytes.to_vec()).map_err(|_| Error::new(ErrorKind::Validation, "it is not text"))
}

/// The KMS in a folder, and the keys of each tenant.
#[derive(Clone)]
pub(super) struct Place {
    kms: Kms,
    keys: ColumnKeys,
    pub(super) index: BlindIndex,
}

impl Place {
    /// Creates the keys.
    pub(super) fn create(folder: &Path) -> TestResult<Self> {
        let kms = open(folder)?;
        for tenant in TENANTS {
            kms.create_key(CreateKeyRequest::default().alias(format!("alias/tenant/{tenant}")))?;
        }
        let hmac = CreateKeyRequest::default().spec(KeySpec::Hmac256).usage(KeyUsage::GenerateVerifyMac);
        kms.create_key(hmac.alias("alias/index"))?;
        Self::of(kms)
    }

    /// Opens a folder that another process created.
    pub(super) fn open(folder: &Path) -> TestResult<Self> {
        Self::of(open(folder)?)
    }

    fn of(kms: Kms) -> TestResult<Self> {
        let keys = ColumnKeys::per_tenant(&kms, "alias/tenant/")?;
        let index = BlindIndex::builder(&ColumnKeys::new(&kms, "alias/index")?, "users", "secret").build()?;
        Ok(Self { kms, keys, index })
    }

    pub(super) fn column(&self, mode: Mode) -> TestResult<Column<String>> {
        mode.column(&self.keys, "users", "secret")
    }

    /// Rotates the keys of all tenants.
    pub(super) fn rotate(&self) -> Result<()> {
        TENANTS.iter().try_for_each(|tenant| {
            let key = self.kms.describe_key(format!("alias/tenant/{tenant}"))?.key_id();
            self.kms.rotate_key_on_demand(key).map(drop)
        })
    }

    /// Returns the newest version of a tenant's key.
    pub(super) fn newest_version(&self, tenant: &str) -> TestResult<u32> {
        Ok(self.column(Mode::Blobs)?.encrypt(&RowId::new(0).tenant(tenant), "")?.key_version())
    }
}

fn open(folder: &Path) -> Result<Kms> {
    let limits = KmsLimits { on_demand_rotations: OnDemandRotationLimit::new(1_000_000), ..KmsLimits::default() };
    let store = SqliteStore::open(folder.join("keys.db"), &CryptoBackend::default())?;
    Kms::builder().limits(limits).store(store, RootKey::from_bytes(&[7; 32])).build()
}
