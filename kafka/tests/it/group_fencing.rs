//! What the generator's exactly-once rests on: who has lost what he held cannot commit for it any more.

use kafka::ErrorCode as Code;
use kafka::group::Membership;
use kafka::produce::{Offsets, ProduceError};
use testbed::eventually;

use crate::group_support::{PARTITIONS, Peer, settle};
use crate::produce_support::{Writer, topic};
use crate::{TIMEOUT, config, shared};

const TOPIC: &str = "group-fencing.shards";

/// Writes a record and commits it with an offset, as this member.
fn commit(writer: &mut Writer, member: &Membership, offset: i64) -> Result<(), ProduceError> {
    writer.write(0..1)?;
    writer.producer.commit(Some(Offsets {
        member: member.clone(),
        topic: TOPIC.to_owned(),
        offsets: vec![(0, offset, format!("at {offset}"))],
    }));
    writer.producer.wait(TIMEOUT)
}

/// The commit is refused, and afterwards another one is possible.
fn assert_refused(writer: &mut Writer, member: &Membership, code: Code) {
    let error = commit(writer, member, 1_000).unwrap_err();
    assert_eq!(error.code(), Some(code), "{error}");
    writer.start().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_was_gone_on_without_cannot_commit() {
    const GROUP: &str = "group-fencing";
    let bootstrap = shared().await.bootstrap();
    topic(&config(bootstrap.clone()), TOPIC, PARTITIONS, 1).await;
    let mut writer = Writer::plain(&bootstrap, TOPIC, Some(GROUP));
    writer.start().unwrap();
    let mut first = Peer::join(&bootstrap, GROUP, None);
    settle(&mut [&mut first]).await;
    let alone = first.membership().unwrap().clone();
    commit(&mut writer, &alone, 1).unwrap();

    // In an earlier generation.
    let mut second = Peer::join(&bootstrap, GROUP, Some("b"));
    settle(&mut [&mut first, &mut second]).await;
    assert_refused(&mut writer, &alone, Code::IllegalGeneration);
    let member = first.membership().unwrap().clone();
    commit(&mut writer, &member, 2).unwrap();

    // Gone.
    first.leave().await;
    assert_refused(&mut writer, &member, Code::UnknownMemberId);

    // Replaced by another of the same name, in the same generation.
    settle(&mut [&mut second]).await;
    let member = second.membership().unwrap().clone();
    commit(&mut writer, &member, 3).unwrap();
    second.die().await;
    let mut second = Peer::join(&bootstrap, GROUP, Some("b"));
    settle(&mut [&mut second]).await;
    assert_eq!(second.generation(), member.generation);
    assert_refused(&mut writer, &member, Code::FencedInstanceId);

    let stands = async || {
        let committed = second.committed(&[0], TIMEOUT).unwrap();
        committed.first().and_then(|committed| committed.offset.clone()) == Some((3, "at 3".to_owned()))
    };
    eventually(TIMEOUT, stands).await.unwrap();
}
