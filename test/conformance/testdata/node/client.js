// Walks through the streams API with one of the official Node.js clients: node client.js PACKAGE URL.
const assert = require("node:assert/strict");
const [name, url] = process.argv.slice(2);
const api = require(name);

const event = (n) => api.jsonEvent({ type: "Tested", data: { n }, metadata: { by: name } });
// The two packages differ in how they call an expected revision.
const expect = (state) => (api.KurrentDBClient ? { streamState: state } : { expectedRevision: state });

async function all(stream) {
  const events = [];
  for await (const e of stream) events.push(e);
  return events;
}

async function fails(type, work) {
  await assert.rejects(work, (e) => (assert.equal(e.type, type), true));
}

async function main() {
  const client = (api.KurrentDBClient ?? api.EventStoreDBClient).connectionString(url);
  const stream = "node-" + name.replace(/\W/g, "");

  const first = await client.appendToStream(stream, [event(1), event(2), event(3)], expect(api.NO_STREAM));
  assert.equal(first.nextExpectedRevision, 2n);
  await fails("wrong-expected-version", client.appendToStream(stream, [event(9)], expect(api.NO_STREAM)));

  // Concurrent appends share one BatchAppend call.
  const many = await Promise.all(
    Array.from({ length: 200 }, (_, i) => client.appendToStream(stream + "-many", [event(i)], expect(api.ANY))),
  );
  assert.deepEqual(many.map((r) => Number(r.nextExpectedRevision)), Array.from({ length: 200 }, (_, i) => i));

  const read = await all(client.readStream(stream, { direction: api.FORWARDS, fromRevision: api.START }));
  assert.deepEqual(read.map((r) => r.event.data.n), [1, 2, 3]);
  assert.equal(read[2].event.position.commit, first.position.commit);
  assert.deepEqual(read[0].event.metadata, { by: name });
  assert.ok(Math.abs(read[0].event.created - Date.now()) < 60_000);
  const back = await all(client.readAll({ direction: api.BACKWARDS, fromPosition: api.END, maxCount: 50 }));
  assert.equal(back.length, 50);
  await fails("stream-not-found", all(client.readStream("absent")));

  await subscribe(client, stream);

  await client.setStreamMetadata(stream, { maxCount: 2 });
  assert.equal((await client.getStreamMetadata(stream)).metadata.maxCount, 2);
  assert.equal((await all(client.readStream(stream))).length, 2);
  await client.deleteStream(stream);
  await fails("stream-not-found", all(client.readStream(stream)));
  await client.tombstoneStream(stream + "-many");
  await fails("stream-deleted", all(client.readStream(stream + "-many")));
  await fails("stream-deleted", client.appendToStream(stream + "-many", [event(9)]));

  const big = api.jsonEvent({ type: "Big", data: { x: "x".repeat(2_000_000) } });
  await fails("maximum-append-size-exceeded", client.appendToStream(stream, [big]));
  await client.dispose();
}

// subscribe follows 203 old events and one appended when they have come, with checkpoints.
async function subscribe(client, stream) {
  let seen = 0;
  let checkpoints = 0;
  let caughtUp = false;
  const subscription = client.subscribeToAll({
    fromPosition: api.START,
    filter: api.streamNameFilter({
      prefixes: [stream],
      checkpointInterval: 1,
      checkpointReached: async () => void checkpoints++,
    }),
  });
  await new Promise((resolve, reject) => {
    subscription.on("error", reject);
    subscription.on("caughtUp", () => (caughtUp = true));
    subscription.on("data", () => {
      seen++;
      if (seen === 203) client.appendToStream(stream, [event(4)], expect(api.ANY)).catch(reject);
      if (seen === 204) resolve();
    });
  });
  assert.ok(caughtUp && checkpoints > 0);
  await subscription.unsubscribe();
}

main().then(
  () => process.exit(0),
  (e) => (console.error(e), process.exit(1)),
);
