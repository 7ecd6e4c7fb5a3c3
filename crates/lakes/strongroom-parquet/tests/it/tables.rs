//! Tables that are written and read.

use std::fs::{self, File};
use std::sync::Arc;

use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use strongroom::identity::Principal;
use strongroom::request::PutKeyPolicyRequest;
use strongroom::{ErrorKind, Kms};
use strongroom_parquet::error_inside;

use crate::support::{configuration, factory, new_key, read, rows, write};

#[test]
fn a_table_is_encrypted_and_read_again() {
    let kms = Kms::in_memory().unwrap();
    let (footer, salary) = (new_key(&kms), new_key(&kms));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("employees.parquet");
    write(&path, &factory(&kms), &configuration(&footer, &salary)).unwrap();
    assert_eq!(read(&path, &factory(&kms)).unwrap(), rows());

    // Readers without keys get neither the schema nor a value.
    assert!(ParquetRecordBatchReaderBuilder::try_new(File::open(&path).unwrap()).is_err());
    let stored = fs::read(&path).unwrap();
    assert!(!stored.windows(6).any(|window| window == b"salary"));
    assert!(!stored.windows(8).any(|window| window == 5_100_i64.to_le_bytes()));
}

#[test]
fn keys_are_named_by_id_arn_and_alias() {
    let kms = Kms::in_memory().unwrap();
    let key = kms.create_key(Default::default()).unwrap();
    kms.create_alias("alias/lake", key.key_id()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let alias_arn = key.arn().to_string().replace(&format!("key/{}", key.key_id()), "alias/lake");
    for (index, name) in
        [key.key_id().to_string(), key.arn().to_string(), "alias/lake".to_owned(), alias_arn].iter().enumerate()
    {
        let path = folder.path().join(format!("{index}.parquet"));
        write(&path, &factory(&kms), &configuration(name, &new_key(&kms))).unwrap();
        assert_eq!(read(&path, &factory(&kms)).unwrap(), rows());
    }
}

#[test]
fn a_reader_needs_the_key_of_every_column_that_it_reads() {
    let kms = Kms::in_memory().unwrap();
    let (footer, salary) = (new_key(&kms), new_key(&kms));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("employees.parquet");
    write(&path, &factory(&kms), &configuration(&footer, &salary)).unwrap();

    let analyst = Principal::parse("arn:aws:iam::000000000000:user/analyst").unwrap();
    let policy = r#"{"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::000000000000:root"}, "Action": "kms:*", "Resource": "*"},
        {"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::000000000000:user/analyst"},
         "Action": "kms:Decrypt", "Resource": "*",
         "Condition": {"StringEquals": {"kms:EncryptionContext:table": "employees"}}}]}"#;
    let narrowed = kms.as_principal(analyst).unwrap();
    kms.put_key_policy(PutKeyPolicyRequest::new(footer.as_str(), policy)).unwrap();
    // The other columns are readable. Arrow returns the refusal as text.
    let decryption = factory(&narrowed).file_decryption_properties(Arc::default(), Default::default()).unwrap();
    let options = ArrowReaderOptions::new().with_file_decryption_properties(decryption);
    let file = File::open(&path).unwrap();
    let builder = ParquetRecordBatchReaderBuilder::try_new_with_options(file, options).unwrap();
    let projection = ProjectionMask::columns(builder.parquet_schema(), ["id"]);
    let read_columns = builder.with_projection(projection).build().unwrap().collect::<Result<Vec<_>, _>>().unwrap();
    assert_eq!(read_columns[0].columns(), &rows().columns()[..1]);
    let refused = read(&path, &factory(&narrowed)).unwrap_err();
    assert!(refused.to_string().contains("analyst"), "{refused}");
    kms.put_key_policy(PutKeyPolicyRequest::new(salary.as_str(), policy)).unwrap();
    assert_eq!(read(&path, &factory(&narrowed)).unwrap(), rows());
    let refused = write(&folder.path().join("other"), &factory(&narrowed), &configuration(&footer, &salary));
    assert_eq!(error_inside(&refused.unwrap_err()).unwrap().kind(), ErrorKind::AccessDenied);
}
