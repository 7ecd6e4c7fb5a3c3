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
        "arn:AWS:iam::000000000000:root",
        "arn::iam::000000000000:root",
        "arn:aws-us-gov-and-a-name-that-is-too-long:iam::000000000000:root",
        "arn:aws:sts::000000000000:root",
        "arn:aws:iam::000000000000:assumed-role/a/b",
        "arn:aws:sts::000000000000:assumed-role/a",
        "arn:aws:sts::000000000000:assumed-role/a/",
        "arn:aws:sts::000000000000:assumed-role//b",
        "arn:aws:sts::000000000000:assumed-role/a/b/c",
        "arn:aws:sts:local:000000000000:assumed-role/a/b",
        "arn:aws:sts::000000000000:federated-user/",
        "arn:aws:sts::000000000000:federated-user/a/b",
        "arn:aws:sts::000000000000:federated-user/*",
        ".amazonaws.com",
        "a..b.amazonaws.com",
    ] {
        let refused = Principal::parse_on_behalf_of(AccountId::default(), text).map_err(|error| error.kind());
        assert_eq!(refused, Err(ErrorKind::InvalidArn), "{text}");
    }
}

#[test]
fn the_partition_is_no_part_of_the_identity() -> Result<()> {
    let account = AccountId::default();
    let locality = Locality::new("aws-cn", "cn-north-1")?;
    for principal in [
        Principal::root(account),
        Principal::user(account, "a/b")?,
        Principal::role(account, "a/b")?,
        Principal::assumed_role(account, "b", "c")?,
        Principal::federated_user(account, "c")?,
    ] {
        let there = principal.clone().with_partition_of(&locality);
        assert_eq!(there.to_string(), principal.to_string().replace("arn:aws:", "arn:aws-cn:"));
        assert_eq!((Principal::parse(&there.to_string())?.partition(), principal.partition()), ("aws-cn", "aws"));
        assert_eq!(there, principal);
        assert_eq!(there.cmp(&principal), Ordering::Equal);
        assert_eq!(std::collections::HashSet::from([there.clone(), principal.clone()]).len(), 1);
        assert_eq!(there.stored_name(), principal.to_string());
    }
    Ok(())
}

#[test]
fn a_role_covers_its_sessions_and_nothing_else_covers_another_principal() -> Result<()> {
    let (account, other) = (AccountId::default(), AccountId::parse("111122223333")?);
    let role = Principal::role(account, "x/worker")?;
    let session = Principal::assumed_role(account, "x/worker", "s")?;
    let parsed = Principal::parse(&session.to_string())?;
    assert_eq!((&parsed, &session.as_named()), (&Principal::assumed_role(account, "worker", "s")?, &parsed));
    assert_ne!(parsed, session);
    assert_eq!((session.assumed(), parsed.assumed()), (Some(role.clone()), Some(Principal::role(account, "worker")?)));
    assert!(role.covers(&session) && parsed.covers(&session) && !session.covers(&parsed));
    // A session that is parsed belongs to a role without a path, and may be one of this role.
    assert!(!role.covers(&parsed) && role.may_cover(&parsed) && role.may_cover(&session));
    assert!(Principal::role(account, "worker")?.covers(&parsed));
    assert!(!Principal::role(account, "worker")?.may_cover(&session) && !parsed.may_cover(&role));
    assert!(!Principal::role(other, "x/worker")?.may_cover(&parsed));
    for stranger in [
        Principal::root(account),
        Principal::user(account, "x/worker")?,
        Principal::role(account, "worker")?,
        Principal::role(account, "y/worker")?,
        Principal::role(other, "x/worker")?,
        Principal::assumed_role(account, "x/worker", "t")?,
        Principal::federated_user(account, "s")?,
    ] {
        assert!(!stranger.covers(&session), "{stranger}");
        assert!(!session.covers(&stranger), "{stranger}");
    }
    assert!(!role.covers(&Principal::assumed_role(account, "x/worker2", "s")?));
    assert!(!role.covers(&Principal::assumed_role(other, "x/worker", "s")?));
    assert!(!role.covers(&Principal::federated_user(account, "worker")?));
    assert_eq!(role.assumed(), None);
    for (role, session) in [("", "s"), ("a", ""), ("a", "s/t"), ("a", "s t"), ("a//b", "s"), ("a", &"s".repeat(65))] {
        let refused = Principal::assumed_role(account, role, session).map_err(|error| error.kind());
        assert_eq!(refused, Err(ErrorKind::Validation), "{role} {session}");
    }
    Ok(())
}

proptest! {
    #[test]
    fn principals_are_read_back(
        account in account(),
        kind in 0..6,
        partition in "aws(-[a-z]{1,8}){0,2}",
        single in "[A-Za-z0-9_+=,.@-]{1,64}",
        name in "([A-Za-z0-9_+=,.@-]{1,8}/){0,2}[A-Za-z0-9_+=,.@-]{1,64}",
        service in "[a-z0-9-]{1,10}(\\.[a-z0-9-]{1,10}){0,2}",
    ) {
        let principal = match kind {
            0 => Principal::root(account),
            1 => Principal::user(account, &name)?,
            2 => Principal::role(account, &name)?,
            3 => Principal::assumed_role(account, &name, &single)?,
            4 => Principal::federated_user(account, &single)?,
            _ => Principal::service(account, &service)?,
        };
        let principal = principal.with_partition_of(&Locality::new(&partition, "local")?);
        let parsed = Principal::parse_on_behalf_of(account, &principal.to_string())?;
        prop_assert_eq!(parsed.to_string(), principal.to_string());
        prop_assert_eq!(parsed, principal.as_named());
    }

    #[test]
    fn reading_a_principal_is_total(text in "\\PC{0,80}|(arn:aws:iam::)?[0-9:/a-z*]{0,40}") {
        if let Ok(principal) = Principal::parse_on_behalf_of(AccountId::default(), &text) {
            prop_assert_eq!(principal.to_string(), text);
        }
    }
}
