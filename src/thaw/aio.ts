/**
 * Contexts of asynchronous input and output. The kernel makes the ring of a context wherever there is room; the context
 * goes along when that memory is moved. The kernel's own counts are brought to where they were by requests that
 * complete at once, and then the ring gets its content.
 */
import { leastRequests } from '../aio.js';
import { type AioContext, aioRange } from '../snapshot/aio-context.js';
import type { Process } from '../snapshot/schema.js';
import type { Arena } from './arena.js';
import { call, MapFlag, Mremap, mapFixed } from './calls.js';
import { fillMapped, type MemoryContext, type PlacedRegion } from './memory.js';
import { type Cell, Flag, type Op } from './program.js';

const EFD_CLOEXEC = 0o2000000;
const ALL_BITS = 0xffff_ffff_ffff_ffffn;

/** Makes all contexts, with what was in their rings, once all other memory is in its place. */
export function planAio(
  arena: Arena,
  { aioContexts: contexts }: Pick<Process, 'aioContexts'>,
  regions: readonly PlacedRegion[],
  context: MemoryContext,
): Op[] {
  if (contexts.length === 0) return [];
  const ready = arena.cell();
  const fillers = fillersOf(arena, contexts);
  return [
    // The kernel must put none where another one belongs.
    ...contexts.map(reserve),
    ...inTheirOrder(contexts, fillers, (each) => {
      const made = arena.cell();
      return [...create(arena, each, made, `aio-${each.id}`), move(each, made)];
    }),
    call('eventfd2', [0, EFD_CLOEXEC], { result: ready, label: 'cannot make an eventfd' }),
    ...contexts.map((each) => advance(each, ready)),
    call('close', [ready]),
    ...regions
      .filter(({ region }) => region.backing.kind === 'aio')
      .flatMap((placed) =>
        fillMapped(
          placed,
          context,
          `cannot protect the ring of an AIO context at ${placed.region.start.toString(16)}`,
        ),
      ),
    ...[...fillers.values()].map((filler) => call('io_destroy', [filler])),
  ];
}

/** For `--check`: makes all contexts, anywhere. */
export function planAioTest(arena: Arena, { aioContexts: contexts }: Pick<Process, 'aioContexts'>): Op[] {
  const ops = inTheirOrder(contexts, fillersOf(arena, contexts), (each) =>
    create(arena, each, arena.cell(), `aio-${each.id}-test`),
  );
  return ops.map((op) => (op.op === 'mark' ? op : { ...op, when: Flag.CHECK }));
}

/** The kernel gives the lowest number that is free: those between the process's own are taken for the time being. */
function fillersOf(arena: Arena, contexts: readonly AioContext[]): ReadonlyMap<number, Cell> {
  const ids = new Set(contexts.map(({ id }) => id));
  const unused = Array.from({ length: Math.max(-1, ...ids) + 1 }, (_, id) => id).filter((id) => !ids.has(id));
  return new Map(unused.map((id) => [id, arena.cell()]));
}

function inTheirOrder(
  contexts: readonly AioContext[],
  fillers: ReadonlyMap<number, Cell>,
  plan: (context: AioContext) => readonly Op[],
): Op[] {
  const fill = [...fillers].map(([id, made]) => ({ id, ops: [setUp(1, made, `number ${id}`)] }));
  const own = contexts.map((context) => ({ id: context.id, ops: plan(context) }));
  return [...fill, ...own].sort((a, b) => a.id - b.id).flatMap(({ ops }) => ops);
}

function setUp(requests: number, made: Cell, name: string): Op {
  return call('io_setup', [requests, made.cell], {
    label: `cannot make the AIO context ${name} for ${requests} request${requests === 1 ? '' : 's'} (fs.aio-max-nr)`,
  });
}

/** @param mark for the names of places in the program */
function create(arena: Arena, context: AioContext, made: Cell, mark: string): Op[] {
  const { requests, events } = context;
  const name = nameOf(context);
  const head = Buffer.from(Uint32Array.of(context.id, events).buffer);
  const isMade: Op = {
    ...{ op: 'test', address: made.cell, width: 8, mask: ALL_BITS, when: Flag.CHECK },
    check: { kind: 'atleast', expected: 1, jump: mark },
  };
  const isSame = (jump?: string): Op => ({
    ...{ op: 'compare', left: made, right: arena.bytes(head), size: head.length },
    check: { kind: 'equal', expected: 0, ...(jump === undefined ? {} : { jump }) },
    label: `cannot make the AIO context ${name}`,
    reason: `the kernel gives it another ring than one for ${events} events, as on a machine with more processors`,
    text: `compare number and size of the context's ring with ${context.id}, ${events}`,
  });
  const end: Op = { op: 'mark', name: mark };
  const least = leastRequests(events);
  if (least <= requests) return [setUp(requests, made, name), isMade, isSame(), end];
  // The fewer processors, the smaller is a ring for few requests.
  return [
    setUp(requests, made, name),
    isMade,
    isSame(`${mark}-small`),
    { op: 'jump', to: mark },
    { op: 'mark', name: `${mark}-small` },
    call('io_destroy', [made]),
    { op: 'store', address: made.cell, width: 8, value: 0, text: 'no context' },
    setUp(least, made, name),
    isMade,
    isSame(),
    end,
  ];
}

function reserve(context: AioContext): Op {
  return mapFixed(aioRange(context), 0, MapFlag.PRIVATE | MapFlag.ANONYMOUS | MapFlag.NORESERVE, -1, 0, {
    label: `cannot make room for the AIO context ${nameOf(context)}`,
  });
}

function move(context: AioContext, made: Cell): Op {
  const { start, end } = aioRange(context);
  return call('mremap', [made, end - start, end - start, Mremap.MAYMOVE | Mremap.FIXED, start], {
    check: { kind: 'equal', expected: start },
    label: `cannot move the AIO context ${nameOf(context)} to its place`,
  });
}

/** As many requests as lead to the tail, by way of the ring's end where more than those are unread. */
function advance(context: AioContext, ready: Cell): Op {
  const { address, tail, unread, events } = context;
  return {
    ...{ op: 'builtin', name: 'advance_ring' },
    args: [address, ready, unread > tail ? tail + events : tail, unread],
    check: { kind: 'equal', expected: tail },
    label: `cannot bring the AIO context ${nameOf(context)} to where it was, with ${unread} events unread`,
  };
}

function nameOf({ address }: AioContext): string {
  return `at ${address.toString(16)}`;
}
