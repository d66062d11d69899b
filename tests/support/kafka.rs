//! A real Apache Kafka, one node, in a folder and on ports of its own.

use super::certificates::Authority;
use super::process::Process;
use super::{Folder, free_port, wait_within};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use std::fs;
use std::path::Path;
use std::pin::pin;
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A virtual machine has to start, and a folder to be formatted.
const START: Duration = Duration::from_secs(120);
const PATIENCE: Duration = Duration::from_secs(30);

/// The user that the broker knows, with PLAIN and with SCRAM.
pub const USER: &str = "gateway";
pub const PASSWORD: &str = "hush-hush";

pub struct Kafka {
    /// Before the folder, which has its log.
    process: Process,
    folder: Folder,
    ports: Ports,
}

struct Ports {
    plain: u16,
    sasl: u16,
    sasl_tls: u16,
    tls: u16,
    controller: u16,
}

/// One broker for all tests that leave it as it is, as long as one of them runs: a Java virtual
/// machine takes long to start.
pub fn shared() -> Arc<Kafka> {
    static SHARED: Mutex<Weak<Kafka>> = Mutex::new(Weak::new());
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    shared.upgrade().unwrap_or_else(|| {
        let kafka = Arc::new(Kafka::new());
        *shared = Arc::downgrade(&kafka);
        kafka
    })
}

impl Kafka {
    /// Listens without any security, with SASL, with SASL over TLS, and with client certificates.
    pub fn new() -> Self {
        let folder = Folder::new();
        let ports = Ports {
            plain: free_port(),
            sasl: free_port(),
            sasl_tls: free_port(),
            tls: free_port(),
            controller: free_port(),
        };
        certificates(&folder);
        fs::write(folder.join("server.properties"), properties(&folder, &ports)).unwrap();
        let user = |mechanism: &str| format!("{mechanism}=[name={USER},password={PASSWORD}]\n");
        let users = user("SCRAM-SHA-256") + &user("SCRAM-SHA-512");
        fs::write(folder.join("users"), users).unwrap();
        let process = Process::new("Kafka", folder.join("broker.log"));
        let mut kafka = Kafka { process, folder, ports };
        kafka.start();
        kafka
    }

    pub fn start(&mut self) {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/kafka");
        self.process.spawn(Command::new(script).arg("start").arg(self.folder.path()));
        let client = self.consumer("fixture");
        self.process.wait_ready_within(START, || {
            client.fetch_metadata(None, Duration::from_secs(1)).is_ok()
        });
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Without any security.
    pub fn brokers(&self) -> String {
        format!("127.0.0.1:{}", self.ports.plain)
    }

    /// With SASL: PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512, for [`USER`] and [`PASSWORD`], or OAUTHBEARER
    /// with any token of the form of [`bearer_token`].
    pub fn sasl_brokers(&self) -> String {
        format!("127.0.0.1:{}", self.ports.sasl)
    }

    /// The same over TLS; `ca.pem` in [`Kafka::folder`] is the authority.
    pub fn sasl_tls_brokers(&self) -> String {
        format!("127.0.0.1:{}", self.ports.sasl_tls)
    }

    /// With TLS and a client certificate: `client.pem` and `client.key` in [`Kafka::folder`].
    pub fn tls_brokers(&self) -> String {
        format!("127.0.0.1:{}", self.ports.tls)
    }

    pub fn folder(&self) -> &Folder {
        &self.folder
    }

    pub fn create_topic(&self, name: &str, partitions: i32) {
        assert!(self.try_create_topic(name, partitions), "{name} is made");
    }

    /// Whether it could be made; one that was deleted a moment ago may still be there.
    pub fn try_create_topic(&self, name: &str, partitions: i32) -> bool {
        let topic = NewTopic::new(name, partitions, TopicReplication::Fixed(1));
        let options = AdminOptions::new().operation_timeout(Some(PATIENCE));
        let created = block_on(self.admin().create_topics(&[topic], &options)).unwrap();
        if created.iter().any(Result::is_err) {
            return false;
        }
        let client = self.consumer("fixture");
        wait_within(PATIENCE, "the topic has its partitions", || {
            let metadata = client.fetch_metadata(Some(name), PATIENCE).unwrap();
            metadata.topics().first().is_some_and(|topic| {
                topic.partitions().len() == usize::try_from(partitions).unwrap()
                    && topic.partitions().iter().all(|partition| partition.leader() >= 0)
            })
        });
        true
    }

    pub fn delete_topic(&self, name: &str) {
        let options = AdminOptions::new().operation_timeout(Some(PATIENCE));
        let deleted = block_on(self.admin().delete_topics(&[name], &options)).unwrap();
        deleted.into_iter().for_each(|result| drop(result.unwrap()));
    }

    /// Produces messages to a partition, in order; `None` is a null payload. Waits until the broker
    /// has them all.
    pub fn produce<'a>(
        &self,
        topic: &str,
        partition: i32,
        payloads: impl IntoIterator<Item = Option<&'a [u8]>>,
    ) {
        let producer: BaseProducer = self
            .client()
            .set("linger.ms", "1")
            .set("message.max.bytes", "8000000")
            .create()
            .unwrap();
        for payload in payloads {
            let mut record = BaseRecord::<(), [u8]>::to(topic).partition(partition);
            record.payload = payload;
            while let Err((_, refused)) = producer.send(record) {
                producer.poll(Duration::from_millis(10));
                record = refused;
            }
        }
        producer.flush(PATIENCE).unwrap();
        assert_eq!(producer.in_flight_count(), 0, "the broker has all");
    }

    /// The offset a group has committed for a partition, if it has.
    pub fn committed(&self, group: &str, topic: &str, partition: i32) -> Option<i64> {
        let mut list = TopicPartitionList::new();
        list.add_partition(topic, partition);
        let committed = self.consumer(group).committed_offsets(list, PATIENCE).unwrap();
        match committed.find_partition(topic, partition)?.offset() {
            Offset::Offset(offset) => Some(offset),
            _ => None,
        }
    }

    /// The offset that the next message of a partition gets.
    pub fn end_offset(&self, topic: &str, partition: i32) -> i64 {
        self.consumer("fixture").fetch_watermarks(topic, partition, PATIENCE).unwrap().1
    }

    fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", self.brokers());
        config
    }

    fn consumer(&self, group: &str) -> BaseConsumer {
        self.client().set("group.id", group).create().unwrap()
    }

    fn admin(&self) -> AdminClient<DefaultClientContext> {
        self.client().create().unwrap()
    }
}

/// A JSON web token that nobody signed, good for that many seconds from now.
pub fn bearer_token(seconds: u64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let claims = format!(r#"{{"sub":"{USER}","iat":{now},"exp":{}}}"#, now + seconds);
    format!("{}.{}.", base64_url(br#"{"alg":"none"}"#), base64_url(claims.as_bytes()))
}

fn base64_url(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let letters = |chunk: &[u8]| {
        let bits = (0..3).fold(0, |bits, at| bits << 8 | u32::from(*chunk.get(at).unwrap_or(&0)));
        let letter = move |at: usize| LETTERS[bits as usize >> (18 - 6 * at) & 63] as char;
        (0..=chunk.len()).map(letter).collect::<String>()
    };
    bytes.chunks(3).map(letters).collect()
}

/// `ca.pem`; the broker's chain and key in one file, as Kafka wants it; the client's in two.
fn certificates(folder: &Folder) {
    let authority = Authority::new();
    fs::write(folder.join("ca.pem"), &authority.pem).unwrap();
    authority.issue(folder.path(), "broker", "broker");
    authority.issue(folder.path(), "client", "gateway");
    let both = ["broker.key", "broker.pem"].map(|name| fs::read(folder.join(name)).unwrap());
    fs::write(folder.join("broker-both.pem"), both.concat()).unwrap();
}

fn properties(folder: &Folder, ports: &Ports) -> String {
    let here = folder.path().display();
    let Ports { plain, sasl, sasl_tls, tls, controller } = ports;
    let listeners = format!(
        "PLAIN://127.0.0.1:{plain},SASL://127.0.0.1:{sasl},SASLTLS://127.0.0.1:{sasl_tls},\
         TLS://127.0.0.1:{tls}"
    );
    let module = "org.apache.kafka.common.security";
    let mut text = format!(
        "process.roles=broker,controller\nnode.id=1\n\
         controller.quorum.voters=1@127.0.0.1:{controller}\ncontroller.listener.names=CONTROLLER\n\
         listeners={listeners},CONTROLLER://127.0.0.1:{controller}\nadvertised.listeners={listeners}\n\
         inter.broker.listener.name=PLAIN\n\
         listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAIN:PLAINTEXT,SASL:SASL_PLAINTEXT,\
         SASLTLS:SASL_SSL,TLS:SSL\n\
         log.dirs={here}/logs\noffsets.topic.replication.factor=1\noffsets.topic.num.partitions=1\n\
         transaction.state.log.replication.factor=1\ntransaction.state.log.min.isr=1\n\
         group.initial.rebalance.delay.ms=0\ngroup.min.session.timeout.ms=1000\n\
         auto.create.topics.enable=false\nmessage.max.bytes=8000000\n\
         sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER\n\
         ssl.keystore.type=PEM\nssl.keystore.location={here}/broker-both.pem\n\
         ssl.truststore.type=PEM\nssl.truststore.location={here}/ca.pem\n\
         listener.name.tls.ssl.client.auth=required\n"
    );
    for listener in ["sasl", "sasltls"] {
        text += &format!(
            "listener.name.{listener}.plain.sasl.jaas.config={module}.plain.PlainLoginModule required \
             user_{USER}=\"{PASSWORD}\";\n"
        );
        // Takes tokens that nobody signed, as long as they have not run out.
        text += &format!(
            "listener.name.{listener}.oauthbearer.sasl.jaas.config=\
             {module}.oauthbearer.OAuthBearerLoginModule required;\n"
        );
        for mechanism in ["256", "512"] {
            text += &format!(
                "listener.name.{listener}.scram-sha-{mechanism}.sasl.jaas.config=\
                 {module}.scram.ScramLoginModule required;\n"
            );
        }
    }
    text
}

/// The admin client answers with futures; it works on threads of its own, so a look now and then
/// is enough.
fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}
