/** The three programs that look into the kernel. Each leaves what it found in the map that is its output. */
import { instruction } from './bpf.js';

/** Instruction codes. */
const MOVE = 0xbf;
const MOVE_NUMBER = 0xb7;
const ADD_NUMBER = 0x07;
const LOAD_WORD = 0x79;
const STORE_WORD = 0x7b;
const STORE_WORD_32 = 0x63;
const LOAD_ADDRESS = 0x18;
const JUMP_ABOVE_NUMBER = 0x25;
const CALL = 0x85;
const EXIT = 0x95;
/** Helpers, numbered in linux/bpf.h. */
const Helper = { get_current_task: 35, probe_read_kernel: 113, map_lookup_percpu_elem: 195 } as const;
/** What an address of LOAD_ADDRESS is: the map itself, or the value in it. */
const PSEUDO_MAP_FD = 1;
const PSEUDO_MAP_VALUE = 2;

/** Bytes that are read at once. */
export const OUTPUT_SIZE = 4096;

const move = (to: number, from: number): Uint8Array => instruction(MOVE, { to, from });
const moveNumber = (to: number, value: number): Uint8Array => instruction(MOVE_NUMBER, { to, value });
const loadWord = (to: number, from: number, offset: number): Uint8Array =>
  instruction(LOAD_WORD, { to, from, offset });
const call = (value: number): Uint8Array => instruction(CALL, { value });
const end = [moveNumber(0, 0), instruction(EXIT, {})];

function loadMap(to: number, what: number, map: number): Uint8Array[] {
  return [instruction(LOAD_ADDRESS, { to, from: what, value: map }), instruction(0, {})];
}

/** Register 0 becomes the first eight bytes of the output. */
function store(output: number): Uint8Array[] {
  return [move(7, 0), ...loadMap(1, PSEUDO_MAP_VALUE, output), instruction(STORE_WORD, { to: 1, from: 7 })];
}

/** The address of our own `struct task_struct`. */
export const currentTask = (output: number): Uint8Array[] => [
  call(Helper.get_current_task),
  ...store(output),
  ...end,
];

/** Reads memory: words address and size, at most {@link OUTPUT_SIZE}. The result, 0 or -EFAULT, follows the bytes. */
export const readMemory = (output: number): Uint8Array[] => [
  move(6, 1),
  ...loadMap(1, PSEUDO_MAP_VALUE, output),
  move(7, 1),
  loadWord(2, 6, 8),
  instruction(JUMP_ABOVE_NUMBER, { to: 2, value: OUTPUT_SIZE, offset: 3 }),
  loadWord(3, 6, 0),
  call(Helper.probe_read_kernel),
  instruction(STORE_WORD, { to: 7, from: 0, offset: OUTPUT_SIZE }),
  ...end,
];

/** Where the value of a map for each processor lies for one of them: word processor. 0 where there is none such. */
export const perCpuValue = (map: number, output: number): Uint8Array[] => [
  loadWord(3, 1, 0),
  moveNumber(4, 0),
  instruction(STORE_WORD_32, { to: 10, from: 4, offset: -4 }),
  move(2, 10),
  instruction(ADD_NUMBER, { to: 2, value: -4 }),
  ...loadMap(1, PSEUDO_MAP_FD, map),
  call(Helper.map_lookup_percpu_elem),
  ...store(output),
  ...end,
];
