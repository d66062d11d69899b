//! librdkafka's mock cluster, which runs in the process of the test, and the agent as a process of
//! its own that consumes from it.

use super::agent::Agent;
use super::stand_in::StandIn;
use super::wait_until;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, BaseRecord, DefaultProducerContext, Producer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use std::time::Duration;

pub const TOPIC: &str = "events";
pub const GROUP: &str = "agents";

/// A cluster of mock brokers, with one topic.
pub struct Cluster {
    pub mock: MockCluster<'static, DefaultProducerContext>,
    producer: BaseProducer,
}

impl Cluster {
    pub fn new(partitions: i32) -> Self {
        Cluster::of(1, partitions)
    }

    /// With several brokers.
    pub fn of(brokers: i32, partitions: i32) -> Self {
        let mock = MockCluster::new(brokers).unwrap();
        mock.create_topic(TOPIC, partitions, 1).unwrap();
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", mock.bootstrap_servers());
        let producer = config.create().unwrap();
        Cluster { mock, producer }
    }

    /// An agent that consumes events; not started yet.
    pub fn agent(&self, api: &StandIn, arguments: &[&str]) -> Agent {
        self.bare_agent(api, &[&["-e", TOPIC], arguments].concat())
    }

    /// An agent without topics; not started yet.
    pub fn bare_agent(&self, api: &StandIn, arguments: &[&str]) -> Agent {
        let brokers = self.mock.bootstrap_servers();
        let mut all = vec!["--kafka_brokers", &brokers, "--kafka_group_id", GROUP];
        // The shortest that brokers allow, so that a member that was killed is given up soon.
        all.extend(["--kafka_option", "session.timeout.ms=6000"]);
        all.extend(arguments);
        Agent::new(api, &all)
    }

    pub fn publish(&self, partition: i32, payload: &str) {
        self.publish_raw(TOPIC, partition, None, Some(payload.as_bytes()));
    }

    /// One message, as it stands; it is with the broker when this returns.
    pub fn publish_raw(
        &self,
        topic: &str,
        partition: i32,
        key: Option<&[u8]>,
        payload: Option<&[u8]>,
    ) {
        let mut record = BaseRecord::<[u8], [u8]>::to(topic).partition(partition);
        record.key = key;
        record.payload = payload;
        self.producer.send(record).unwrap();
        // `flush` sleeps for a tenth of a second at a time.
        while self.producer.in_flight_count() > 0 {
            self.producer.poll(Duration::from_millis(1));
        }
    }

    /// The committed offset of each partition of the topic; 0 where there is none.
    pub fn committed(&self, partitions: i32) -> Vec<i64> {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", self.mock.bootstrap_servers()).set("group.id", GROUP);
        let consumer: BaseConsumer = config.create().unwrap();
        let mut list = TopicPartitionList::new();
        for partition in 0..partitions {
            list.add_partition(TOPIC, partition);
        }
        let committed = consumer.committed_offsets(list, Duration::from_secs(10)).unwrap();
        let offset = |offset| if let Offset::Offset(offset) = offset { offset } else { 0 };
        committed.elements().iter().map(|element| offset(element.offset())).collect()
    }

    #[track_caller]
    pub fn wait_committed(&self, wanted: &[i64]) {
        let partitions = i32::try_from(wanted.len()).unwrap();
        wait_until(&format!("offsets {wanted:?} are committed"), || {
            self.committed(partitions) == wanted
        });
    }
}
