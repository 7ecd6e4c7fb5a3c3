//! Multi-Region keys. The server has none, so the endpoint of a Region gives one of its keys the name of
//! a replica.

use serde_json::json;
use strongroom::envelope::MultiKeyring;
use strongroom::identity::Locality;
use strongroom::{Envelope, ErrorKind, Kms};
use strongroom_aws_kms::{AwsKms, AwsKmsKeyring, DiscoveryFilter};

use crate::support::endpoint::Endpoint;
use crate::support::server::{ACCESS_KEY, SECRET};
use crate::support::{PLAINTEXT, Sdk, config, context, of_config};

const REGIONS: [&str; 2] = ["eu-west-1", "us-east-1"];

/// Two Regions with replicas of one key.
struct World {
    endpoints: [Endpoint; 2],
    replicas: [String; 2],
    handles: [AwsKms; 2],
    /// A key of the first Region only.
    single: String,
}

impl World {
    fn start() -> Self {
        let kms = Kms::builder().locality(Locality::new("aws", REGIONS[0]).unwrap()).build().unwrap();
        let key = kms.create_key(Default::default()).unwrap().arn().to_string();
        let single = kms.create_key(Default::default()).unwrap().arn().to_string();
        let id = key.rsplit_once('/').unwrap().1.replace('-', "");
        let replicas = REGIONS.map(|region| format!("arn:aws:kms:{region}:000000000000:key/mrk-{id}"));
        let endpoints = replicas.each_ref().map(|replica| Endpoint::region(&kms, &key, replica));
        let handle = |index: usize| of_config(config(&endpoints[index].url(), REGIONS[index], ACCESS_KEY));
        let handles = [handle(0), handle(1)];
        Self { endpoints, replicas, handles, single }
    }

    fn keyring(&self, region: usize) -> AwsKmsKeyring {
        AwsKmsKeyring::multi_region(&self.handles[region], &self.replicas[region]).unwrap()
    }

    fn discovery(&self, region: usize) -> AwsKmsKeyring {
        AwsKmsKeyring::multi_region_discovery(&self.handles[region], DiscoveryFilter::any()).unwrap()
    }

    /// Returns the environment of another SDK in a Region.
    fn environment(&self, region: usize) -> Vec<(&'static str, String)> {
        let variables = [
            ("AWS_ENDPOINT_URL", self.endpoints[region].url()),
            ("AWS_ACCESS_KEY_ID", ACCESS_KEY.to_owned()),
            ("AWS_SECRET_ACCESS_KEY", SECRET.to_owned()),
            ("AWS_REGION", REGIONS[region].to_owned()),
            ("AWS_DEFAULT_REGION", REGIONS[region].to_owned()),
            ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
            ("AWS_CONFIG_FILE", String::new()),
            ("AWS_SHARED_CREDENTIALS_FILE", String::new()),
        ];
        variables.into()
    }
}

#[test]
fn a_replica_reads_messages_of_another_region() {
    let world = World::start();
    for (writer, reader) in [(0, 1), (1, 0)] {
        let message = Envelope::new(world.keyring(writer)).encrypt(PLAINTEXT, &context()).unwrap();
        let before = world.endpoints[writer].requests().len();
        for keyring in [world.keyring(reader), world.discovery(reader)] {
            assert_eq!(Envelope::new(keyring).decrypt(&message, &context()).unwrap(), PLAINTEXT);
        }
        assert_eq!(world.endpoints[writer].requests().len(), before, "the Region of the writer may be down");
        // Keyrings that do not know of replicas.
        let aware_of_one = AwsKmsKeyring::new(&world.handles[reader], &world.replicas[reader]).unwrap();
        for keyring in [aware_of_one, AwsKmsKeyring::discovery(&world.handles[reader], DiscoveryFilter::any())] {
            let error = Envelope::new(keyring).decrypt(&message, &context()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::NoDataKeyUnwrapped, "{error}");
        }
        let own = AwsKmsKeyring::new(&world.handles[writer], &world.replicas[writer]).unwrap();
        assert_eq!(Envelope::new(own).decrypt(&message, &context()).unwrap(), PLAINTEXT);
    }
}

#[test]
fn official_sdks_in_another_region_read_and_write_the_same() {
    let world = World::start();
    for region in [0, 1] {
        let other = 1 - region;
        for mut sdk in Sdk::all("official_sdks_in_another_region_read_and_write_the_same", &world.environment(other)) {
            let ours = Envelope::new(world.keyring(region)).encrypt(PLAINTEXT, &context()).unwrap();
            let replica = &world.replicas[other];
            for kind in ["mrk", "mrk_multi", "mrk_discovery"] {
                let theirs = json!({"kind": kind, "key": replica, "others": [], "accounts": ["000000000000"]});
                assert_eq!(sdk.decrypt(&theirs, &ours).as_deref(), Ok(PLAINTEXT), "{kind}");
            }
            for kind in ["kms", "discovery"] {
                assert!(sdk.decrypt(&json!({"kind": kind, "key": replica}), &ours).is_err(), "{kind}");
            }
            let message = sdk.encrypt(&json!({"kind": "mrk", "key": replica}), None).unwrap();
            for keyring in [world.keyring(region), world.discovery(region)] {
                assert_eq!(Envelope::new(keyring).decrypt(&message, &context()).unwrap(), PLAINTEXT);
            }
        }
    }
}

#[test]
fn a_key_of_one_region_has_no_replica() {
    let world = World::start();
    let keyring = AwsKmsKeyring::multi_region(&world.handles[0], &world.single).unwrap();
    let message = Envelope::new(keyring.clone()).encrypt(PLAINTEXT, &context()).unwrap();
    assert_eq!(Envelope::new(keyring).decrypt(&message, &context()).unwrap(), PLAINTEXT);
    let elsewhere = world.single.replace(REGIONS[0], REGIONS[1]);
    let before = world.endpoints[1].requests().len();
    let readers = [
        AwsKmsKeyring::multi_region(&world.handles[1], &elsewhere).unwrap(),
        world.keyring(1),
        world.discovery(1),
        AwsKmsKeyring::discovery(&world.handles[1], DiscoveryFilter::any()),
    ];
    for keyring in readers {
        let error = Envelope::new(keyring).decrypt(&message, &context()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NoDataKeyUnwrapped, "{error}");
    }
    assert_eq!(world.endpoints[1].requests().len(), before, "no call");
}

/// A message with data keys of two Regions survives the loss of one.
#[test]
fn keys_of_two_regions_read_without_either() {
    let World { endpoints: [first, second], handles, single, replicas } = World::start();
    let keyrings = || {
        let one = AwsKmsKeyring::new(&handles[0], &single).unwrap();
        MultiKeyring::new(one).with_child(AwsKmsKeyring::new(&handles[1], &replicas[1]).unwrap())
    };
    let message = Envelope::new(keyrings()).encrypt(PLAINTEXT, &context()).unwrap();
    drop(first);
    assert_eq!(Envelope::new(keyrings()).decrypt(&message, &context()).unwrap(), PLAINTEXT);
    drop(second);
    let error = Envelope::new(keyrings()).decrypt(&message, &context()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::KeyUnavailable, "{error}");
}
