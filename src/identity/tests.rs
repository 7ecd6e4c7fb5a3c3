use proptest::prelude::*;

use super::*;

fn account() -> impl Strategy<Value = AccountId> {
    "[0-9]{12}".prop_map(|digits| AccountId::parse(&digits).unwrap())
}

#[test]
fn an_account_is_twelve_ascii_digits() {
    assert_eq!(
        AccountId::parse("012345678901").map(|account| account.to_string()).ok().as_deref(),
        Some("012345678901")
    );
    for text in ["", "01234567890", "0123456789012", "01234567890a", "٠١٢٣٤٥", " 12345678901"] {
        assert_eq!(AccountId::parse(text).map_err(|error| error.kind()), Err(ErrorKind::Validation), "{text}");
    }
}

#[test]
fn the_default_locality_is_aws_local() {
    let locality = Locality::default();
    assert_eq!((locality.partition(), locality.region()), ("aws", "local"));
    assert_eq!(Locality::new("aws", "local").ok(), Some(locality));
}

#[test]
fn a_locality_name_cannot_break_an_arn() {
    let long = "r".repeat(64);
    for name in ["", "eu:west", "EU", "a/b", "a b", "é", "*", long.as_str()] {
        assert!(Locality::new("aws", name).is_err() && Locality::new(name, "local").is_err(), "{name}");
    }
}

#[test]
fn root_is_the_account_and_nobody_else() -> Result<()> {
    let account = AccountId::default();
    assert!(Principal::root(account).is_account_root());
    assert_eq!(Principal::root(account).to_string(), "arn:aws:iam::000000000000:root");
    for other in
        [Principal::user(account, "root")?, Principal::role(account, "root")?, Principal::service(account, "root")?]
    {
        assert!(!other.is_account_root() && other != Principal::root(account), "{other}");
        assert_eq!(other.name(), Some("root"));
    }
    Ok(())
}

#[test]
fn a_service_acts_for_one_account() -> Result<()> {
    let (ours, theirs) = (AccountId::default(), AccountId::parse("111122223333")?);
    assert_ne!(Principal::service(ours, "s3")?, Principal::service(theirs, "s3")?);
    assert_eq!(Principal::parse_on_behalf_of(theirs, "s3.amazonaws.com")?, Principal::service(theirs, "s3")?);
    assert_eq!(Principal::parse("s3.amazonaws.com").map_err(|error| error.kind()), Err(ErrorKind::InvalidArn));
    assert!(format!("{:?}", Principal::service(theirs, "s3")?).contains("111122223333"));
    Ok(())
}

#[test]
fn malformed_principals_are_refused() {
    for text in [
        "",
        "*",
        "000000000000",
        "arn:aws:iam::000000000000:root/",
        "arn:aws:iam::000000000000:user/",
        "arn:aws:iam::000000000000:user//a",
        "arn:aws:iam::000000000000:user/a/",
        "arn:aws:iam::000000000000:user/*",
        "arn:aws:iam::000000000000:group/a",
        "arn:aws:iam:local:000000000000:root",
        "arn:aws:iam::00000000000:root",
        "arn:aws:iam::000000000000:user/a b",
        ".amazonaws.com",
        "a..b.amazonaws.com",
    ] {
        let refused = Principal::parse_on_behalf_of(AccountId::default(), text).map_err(|error| error.kind());
        assert_eq!(refused, Err(ErrorKind::InvalidArn), "{text}");
    }
}

proptest! {
    #[test]
    fn principals_are_read_back(
        account in account(),
        kind in 0..4,
        name in "([A-Za-z0-9_+=,.@-]{1,8}/){0,2}[A-Za-z0-9_+=,.@-]{1,64}",
        service in "[a-z0-9-]{1,10}(\\.[a-z0-9-]{1,10}){0,2}",
    ) {
        let principal = match kind {
            0 => Principal::root(account),
            1 => Principal::user(account, &name)?,
            2 => Principal::role(account, &name)?,
            _ => Principal::service(account, &service)?,
        };
        prop_assert_eq!(Principal::parse_on_behalf_of(account, &principal.to_string())?, principal);
    }

    #[test]
    fn reading_a_principal_is_total(text in "\\PC{0,80}|(arn:aws:iam::)?[0-9:/a-z*]{0,40}") {
        if let Ok(principal) = Principal::parse_on_behalf_of(AccountId::default(), &text) {
            prop_assert_eq!(principal.to_string(), text);
        }
    }
}
