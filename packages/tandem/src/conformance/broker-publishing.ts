import assert from 'node:assert/strict'
import type { WireMessage } from '../core/wire.ts'
import {
  ackEach,
  brokerCases,
  numbered,
  publishTo,
  series,
  textMessage,
  textOf,
  texts,
  type BrokerConformanceOptions,
} from './broker-kit.ts'
import type { ConformanceCase } from './case.ts'

/** What goes in, what the broker says of it, and what comes out. */
export function publishingCases(options: BrokerConformanceOptions): ConformanceCase[] {
  const it = brokerCases(options, 'publishing')
  const { stopsKeyOnFailure, maxBodyBytes } = options.capabilities
  const tooLarge = (topic: string, key: string): WireMessage => ({
    ...textMessage(topic, key, ''),
    body: new Uint8Array(maxBodyBytes + 1),
  })

  const cases = [
    it('has one outcome for each message, in the order of the messages', async ({ broker, topic, group, ensure }) => {
      await ensure(group)
      const outcomes = await publishTo(
        broker,
        ['a', 'b', undefined].map((key) => textMessage(topic, key, 'x')),
      )
      assert.deepEqual(outcomes, [{ status: 'confirmed' }, { status: 'confirmed' }, { status: 'confirmed' }])
      assert.deepEqual(await publishTo(broker, []), [])
    }),

    it('carries key, headers and body unchanged', async ({ topic, group, ensure, publish, consume }) => {
      await ensure(group)
      const headers = { plain: 'text', unicode: 'žluťoučký 🐎 漢字', empty: '', quotes: '"\'\\;,=' }
      const bytes = Uint8Array.from({ length: 512 }, (_, index) => index)
      const sent = [
        { ...textMessage(topic, 'ключ/鍵 🔑', 'x', headers), body: bytes },
        { ...textMessage(topic, 'k'.repeat(255), 'long key') },
        { ...textMessage(topic, undefined, 'no key') },
        { ...textMessage(topic, 'large', 'x'), body: new Uint8Array(maxBodyBytes).fill(7) },
      ]
      if (options.emptyBodies !== false) sent.push({ ...textMessage(topic, 'empty', ''), body: new Uint8Array(0) })
      await publish(sent)
      const member = await consume({ each: ackEach })
      await member.count(sent.length)
      for (const message of sent) {
        const got = member.deliveries.find((one) => one.message.headers['ce-id'] === message.headers['ce-id'])?.message
        assert.ok(got, `the message with key ${message.key} has come`)
        assert.equal(got.topic, topic)
        assert.equal(got.key, message.key)
        assert.deepEqual({ ...got.headers }, message.headers)
        assert.ok(Buffer.from(message.body).equals(got.body), `the body of the message with key ${message.key}`)
      }
    }),

    it('keeps what it was given, whatever the sender does with its bytes', async (bench) => {
      const { topic, group, ensure, publish, consume } = bench
      await ensure(group)
      const message = textMessage(topic, 'a', 'as sent')
      await publish([message])
      message.body.fill(0)
      const member = await consume({ each: ackEach })
      assert.deepEqual(texts(await member.count(1)), ['as sent'])
    }),

    it('refuses for good what is too large, and takes the others', async ({
      broker,
      topic,
      group,
      ensure,
      consume,
    }) => {
      await ensure(group)
      const outcomes = await publishTo(broker, [
        textMessage(topic, 'a', 'before'),
        tooLarge(topic, 'large'),
        textMessage(topic, 'b', 'after'),
      ])
      assert.deepEqual(
        outcomes.map(({ status }) => status),
        ['confirmed', 'permanent', 'confirmed'],
      )
      const refused = outcomes[1]
      assert.ok(refused !== undefined && 'error' in refused && refused.error instanceof Error)
      const member = await consume({ each: ackEach })
      assert.deepEqual(texts(await member.count(2)).toSorted(), ['after', 'before'])
    }),

    it(
      stopsKeyOnFailure
        ? 'keeps back the later messages of a key whose message failed, and no others'
        : 'takes the later messages of a key whose message failed',
      async ({ broker, topic, name, consume, publish }) => {
        const other = name('other-topic')
        const groups = [{ group: name('group'), topics: [topic, other] }]
        await broker.ensure({ topics: [topic, other], groups })
        const outcomes = await publishTo(broker, [
          tooLarge(topic, 'a'),
          textMessage(topic, 'a', 'same key'),
          textMessage(topic, 'b', 'other key'),
          textMessage(other, 'a', 'same key in another topic'),
        ])
        assert.deepEqual(
          outcomes.map(({ status }) => status),
          ['permanent', stopsKeyOnFailure ? 'retryable' : 'confirmed', 'confirmed', 'confirmed'],
        )
        await publish([textMessage(topic, 'a', 'next call')])
        const member = await consume({ topics: [topic, other], each: ackEach })
        await member.find(({ message }) => textOf(message) === 'next call')
        assert.equal(texts(member.deliveries).includes('same key'), !stopsKeyOnFailure)
      },
    ),

    it('keeps the order of a key over calls and within them', async ({ topic, group, ensure, publish, consume }) => {
      await ensure(group)
      for (let call = 0; call < 10; call++) {
        await publish(['a', 'b', 'c'].flatMap((key) => series(topic, key, 5, 1 + call * 5)))
      }
      const member = await consume({ each: ackEach })
      await member.count(150)
      for (const key of ['a', 'b', 'c']) assert.deepEqual(texts(member.deliveries, key), numbered(key, 50))
    }),

    it('publishes from several handles at the same time', async ({ topic, group, ensure, connect, consume }) => {
      await ensure(group)
      const handles = await Promise.all(Array.from({ length: 3 }, () => connect()))
      await Promise.all(
        handles.map(async (broker, index) => {
          for (let n = 1; n <= 20; n++) {
            const [outcome] = await publishTo(broker, series(topic, `from-${index}`, 1, n))
            assert.equal(outcome?.status, 'confirmed')
          }
        }),
      )
      const member = await consume({ each: ackEach })
      await member.count(60)
      for (const index of handles.keys()) {
        assert.deepEqual(texts(member.deliveries, `from-${index}`), numbered(`from-${index}`, 20))
      }
    }),
  ]
  if (!options.finds) return cases
  return [
    ...cases,
    it('finds a message by its id, and knows which groups are past it', async (bench) => {
      const { broker, topic, group, name, ensure, publish, consume } = bench
      const slow = name('slow-group')
      await ensure(group, slow)
      await publish(series(topic, 'a', 3))
      const message = textMessage(topic, 'a', 'looked for')
      await publish([message])
      const id = message.headers['ce-id'] as string
      const before = await broker.find?.(id)
      assert.ok(before)
      assert.equal(before.message.topic, topic)
      assert.equal(before.message.key, 'a')
      assert.equal(textOf(before.message), 'looked for')
      assert.ok(Math.abs(before.publishedAt - Date.now()) < 600_000, 'publishedAt is milliseconds since the epoch')
      assert.deepEqual(passed(before), { [group]: false, [slow]: false })
      const member = await consume({ each: ackEach })
      await member.count(4)
      await member.consumption.stop(5000)
      const after = await broker.find?.(id)
      assert.ok(after)
      assert.deepEqual(passed(after), { [group]: true, [slow]: false })
      assert.equal(await broker.find?.('01890a5d-ac96-774b-bcce-b302099a8057'), undefined)
      assert.equal(await broker.find?.('not a uuid'), undefined)
    }),
  ]
}

function passed(trace: { readonly groups: readonly { readonly group: string; readonly passed: boolean }[] }): unknown {
  return Object.fromEntries(trace.groups.map((one) => [one.group, one.passed]))
}
