//! Properties of stored values and index values.

use proptest::prelude::*;
use strongroom::columns::{BlindIndex, Column, ColumnKeys, ColumnValue, Encrypted, Json, Normalization, RowId};
use strongroom::key::{KeyId, KeySpec, KeyUsage};
use strongroom::request::CreateKeyRequest;
use strongroom::{ErrorKind, Kms, SecretBytes};

use super::support::{Mode, TestResult, kms_with_key};

/// The place of a value.
#[derive(Clone, Debug, PartialEq)]
struct Place {
    table: String,
    column: String,
    tenant: Option<String>,
    row: Vec<String>,
    service: Option<String>,
}

impl Place {
    fn column<T: ColumnValue>(&self, keys: &ColumnKeys, mode: Mode) -> strongroom::Result<Column<T>> {
        let builder = Column::builder(keys, &self.table, &self.column);
        let builder = match mode {
            Mode::Blobs => builder,
            Mode::CachedDataKeys => builder.cached_data_keys(std::time::Duration::from_secs(60)),
        };
        self.service.iter().fold(builder, |builder, service| builder.context("service", service)).build()
    }

    fn row(&self) -> RowId {
        let (first, rest) = self.row.split_first().expect("a primary key");
        let row = rest.iter().fold(RowId::new(first), RowId::part);
        self.tenant.iter().fold(row, RowId::tenant)
    }
}

fn place() -> impl Strategy<Value = Place> {
    // Few different names, so that places often differ in one part only.
    let name = "[ab]{1,2}";
    let names =
        (name, name, prop::option::of("[ab]{0,2}"), prop::collection::vec(name, 1..4), prop::option::of("[ab]"));
    names.prop_map(|(table, column, tenant, row, service)| Place { table, column, tenant, row, service })
}

fn failed(error: impl std::fmt::Display) -> TestCaseError {
    TestCaseError::fail(error.to_string())
}

fn mode(cached: bool) -> Mode {
    if cached { Mode::CachedDataKeys } else { Mode::Blobs }
}

/// Returns the position of the blob in a stored value. Its prefix has a version, a scheme, the ID of
/// the key (16 bytes), and its version (4 bytes).
fn blob_start(stored: &[u8]) -> usize {
    if stored[0] == 1 { 1 } else { 3 }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// The context is compared as a whole: parts never move from one name to another.
    #[test]
    fn a_value_opens_in_its_place_and_in_no_other(one in place(), other in place(), cached in any::<bool>()) {
        let (kms, key) = kms_with_key().map_err(failed)?;
        let keys = ColumnKeys::new(&kms, key)?;
        let (here, there) = (one.column::<String>(&keys, mode(cached))?, other.column::<String>(&keys, mode(cached))?);
        let (first, second) = (here.encrypt(&one.row(), "first")?, there.encrypt(&other.row(), "second")?);
        prop_assert_eq!(here.decrypt(&one.row(), &first)?, "first");
        for (column, place, stored, own) in [(&here, &one, &second, "second"), (&there, &other, &first, "first")] {
            match column.decrypt(&place.row(), stored) {
                Ok(text) => prop_assert!(one == other && text == own),
                Err(error) => {
                    prop_assert!(one != other);
                    prop_assert_eq!(error.kind(), ErrorKind::InvalidCiphertext);
                    let place = format!("cannot decrypt a value of {}.{}: ", column.table(), column.name());
                    prop_assert!(error.to_string().starts_with(&place), "{}", error);
                }
            }
        }
    }

    /// Every version of the key exists, and so does the other key.
    #[test]
    fn a_value_opens_under_its_key_and_version_only(cached in any::<bool>(), version in 1_u32..4, other in 1_u32..4, text in ".{0,20}") {
        let (kms, key) = rotated(version)?;
        let keys = ColumnKeys::new(&kms, key)?;
        let column = mode(cached).column::<String>(&keys, "t", "c").map_err(failed)?;
        let stored = column.encrypt(&RowId::new(1), &text)?;
        prop_assert_eq!(stored.key_version(), version);
        (version..3).try_for_each(|_| kms.rotate_key_on_demand(key).map(drop))?;
        let foreign = kms.create_key(CreateKeyRequest::default())?.key_id();
        let trusting = mode(cached).column::<String>(&keys.previous_key(foreign)?, "t", "c").map_err(failed)?;

        let start = blob_start(stored.as_bytes());
        let mut moved = stored.as_bytes().to_vec();
        prop_assert_eq!(&moved[start + 18..start + 22], version.to_be_bytes());
        moved[start + 18..start + 22].copy_from_slice(&other.to_be_bytes());
        let moved = Encrypted::from_bytes(moved).map_err(failed)?;
        prop_assert_eq!(moved.key_version(), other);
        prop_assert_eq!(trusting.decrypt(&RowId::new(1), &moved).is_ok(), version == other);

        let mut moved = stored.as_bytes().to_vec();
        moved[start + 2..start + 18].copy_from_slice(foreign.as_bytes());
        let moved = Encrypted::from_bytes(moved).map_err(failed)?;
        prop_assert_eq!(moved.key_id(), foreign);
        prop_assert!(trusting.decrypt(&RowId::new(1), &moved).is_err());
        prop_assert_eq!(trusting.decrypt(&RowId::new(1), &stored)?, text);
    }

    #[test]
    fn every_type_is_what_it_was(text in ".{0,50}", bytes in prop::collection::vec(any::<u8>(), 0..50), number in any::<(i64, u64)>(), cached in any::<bool>()) {
        let (kms, key) = kms_with_key().map_err(failed)?;
        let keys = ColumnKeys::new(&kms, key)?;
        let row = RowId::new(number.0);
        let column = |name| mode(cached).column::<Json<(i64, u64, Option<String>)>>(&keys, "t", name).map_err(failed);
        let value = (number.0, number.1, Some(text.clone()));
        let stored = column("json")?.encrypt(&row, &value)?;
        prop_assert_eq!(column("json")?.decrypt(&row, &stored)?.0, value);
        let column = mode(cached).column::<String>(&keys, "t", "text").map_err(failed)?;
        prop_assert_eq!(column.decrypt(&row, &column.encrypt(&row, &text)?)?, text);
        let column = mode(cached).column::<SecretBytes>(&keys, "t", "bytes").map_err(failed)?;
        let opened = column.decrypt(&row, &column.encrypt(&row, &bytes)?)?;
        prop_assert_eq!(opened.expose_secret(), bytes);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn every_changed_byte_and_every_truncation_is_refused(
        value in prop::collection::vec(any::<u8>(), 0..90),
        padding in 1_usize..40,
        mask in 1_u8..,
        more in prop::collection::vec(any::<u8>(), 1..5),
    ) {
        let (kms, key) = kms_with_key().map_err(failed)?;
        let keys = ColumnKeys::new(&kms, key)?;
        for cached in [false, true] {
            let builder = Column::<Vec<u8>>::builder(&keys, "t", "c").pad_to(padding);
            let column = match cached {
                true => builder.cached_data_keys(std::time::Duration::from_secs(60)).build()?,
                false => builder.build()?,
            };
            let row = RowId::new(1).tenant("acme");
            let whole = column.encrypt(&row, &value)?.into_bytes();
            prop_assert_eq!(whole[0], if cached { 2 } else { 1 });
            let opens = |bytes: Vec<u8>| Encrypted::from_bytes(bytes).is_ok_and(|stored| column.decrypt(&row, &stored).is_ok());
            for at in 0..whole.len() {
                let mut changed = whole.clone();
                changed[at] ^= mask;
                prop_assert!(!opens(changed), "byte {} of {}", at, whole.len());
                prop_assert!(!opens(whole[..at].to_vec()), "{} of {} bytes", at, whole.len());
                prop_assert!(!opens(whole[at..].to_vec()) || at == 0, "without the first {} bytes", at);
            }
            prop_assert!(!opens([&whole[..], &more].concat()));
            prop_assert!(opens(whole));
        }
    }
}

/// Returns a key that was rotated to a version.
fn rotated(version: u32) -> strongroom::Result<(Kms, KeyId)> {
    let kms = Kms::in_memory()?;
    let key = kms.create_key(CreateKeyRequest::default())?.key_id();
    (1..version).try_for_each(|_| kms.rotate_key_on_demand(key).map(drop))?;
    Ok((kms, key))
}

fn index_keys() -> strongroom::Result<ColumnKeys> {
    let kms = Kms::in_memory()?;
    let request = CreateKeyRequest::default().spec(KeySpec::Hmac256).usage(KeyUsage::GenerateVerifyMac);
    let key = kms.create_key(request)?.key_id();
    ColumnKeys::new(&kms, key)
}

/// Texts that are often equal after normalization only.
const TEXT: &str = "[ \u{A0}\n]{0,1}(a|A|e|E|\u{E9}|e\u{301}|\u{C9}|E\u{301}|\u{DF}|ss|\u{130}|\u{3A3}|\u{3C3}|K|\u{212A}){0,3}[ ]{0,1}";

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn index_values_are_equal_if_and_only_if_the_normalized_texts_are(
        (one, other) in (TEXT, TEXT),
        (form_c, trim, lower_case) in any::<(bool, bool, bool)>(),
        tenants in any::<(bool, bool)>(),
        bits in 64_u16..=256,
        cached in any::<bool>(),
    ) {
        let mut steps = Normalization::new();
        if form_c {
            steps = steps.form_c();
        }
        if trim {
            steps = steps.trim();
        }
        if lower_case {
            steps = steps.lower_case();
        }
        let builder = BlindIndex::builder(&index_keys()?, "t", "c").normalize(steps).bits(bits);
        let index = if cached { builder.cached_index_keys(std::time::Duration::from_secs(60)) } else { builder }.build()?;
        let tenant = |is_first: bool| if is_first { Some("acme") } else { None };
        let (first, second) = (index.of_text(tenant(tenants.0), &one)?, index.of_text(tenant(tenants.1), &other)?);
        let equal = steps.apply(&one) == steps.apply(&other) && tenants.0 == tenants.1;
        prop_assert_eq!(first == second, equal, "{:?} and {:?} with {:?}", one, other, steps);
        prop_assert_eq!(index.search_text(tenant(tenants.1), &one)?.contains(&second), steps.apply(&one) == steps.apply(&other));
        prop_assert_eq!(index.of_bytes(tenant(tenants.0), steps.apply(&one).as_bytes())?, first);
    }

    #[test]
    fn a_truncated_index_value_is_the_beginning_of_the_complete_one(text in ".{0,20}", bits in 1_u16..=256) {
        let keys = index_keys()?;
        let of = |bits| BlindIndex::builder(&keys, "t", "c").bits(bits).build()?.of_text(Some("acme"), &text);
        let (short, complete) = (of(bits)?.into_bytes(), of(256)?.into_bytes());
        prop_assert_eq!(short.len(), usize::from(bits.div_ceil(8)));
        for bit in 0..short.len() * 8 {
            let is_set = |bytes: &[u8]| bytes[bit / 8] & (0x80 >> (bit % 8)) != 0;
            prop_assert_eq!(is_set(&short), bit < usize::from(bits) && is_set(&complete));
        }
    }
}

#[test]
fn texts_of_the_property_are_often_equal_after_normalization_only() -> TestResult {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;

    let steps = Normalization::new().form_c().trim().lower_case();
    let mut runner = TestRunner::deterministic();
    let mut draw = || TEXT.new_tree(&mut runner).map(|tree| tree.current()).map_err(|reason| reason.to_string());
    let mut equal = 0;
    for _ in 0..1_000 {
        let (one, other) = (draw()?, draw()?);
        equal += usize::from(one != other && steps.apply(&one) == steps.apply(&other));
    }
    assert!(equal > 20, "{equal}");
    Ok(())
}
