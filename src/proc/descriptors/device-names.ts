/** Devices that cannot be carried, by the names that people know them by, and why. */
import { deviceNumbers } from '../objects.js';
import { infoField } from './fdinfo.js';

/** What a device is, and why it stays behind. */
export interface NamedDevice {
  readonly name: string;
  readonly why: string;
}

const STATE = 'the state of a device cannot be frozen';
const MISC_MAJOR = 10;
const PTS_MAJOR = 136;

/** By `major` or `major:minor`; Documentation/admin-guide/devices.txt. */
const NAMES: Readonly<Record<string, string>> = {
  '1:1': 'physical memory',
  '1:11': 'kernel log',
  4: 'serial terminal or console',
  '10:130': 'watchdog',
  '10:223': 'user space input device',
  '10:232': 'kvm',
  '10:237': 'loop device control',
  '10:238': 'vhost-net',
  13: 'input device',
  29: 'frame buffer',
  81: 'video device',
  108: 'ppp',
  116: 'sound device',
  188: 'serial terminal',
  189: 'USB device',
  195: 'graphics card',
  226: 'graphics card',
};

/**
 * Names a character device.
 * @param device number of stat(2)
 * @param info text of fdinfo
 */
export function classifyDevice(device: bigint, info: string): NamedDevice {
  const { major, minor } = deviceNumbers(device);
  if (major >= PTS_MAJOR && major < PTS_MAJOR + 8)
    return { name: 'terminal that neither controls the process nor is its 0, 1 or 2', why: STATE };
  if (major === MISC_MAJOR && minor === 200) return tunnel(infoField(info, 'iff') ?? '');
  if (major === MISC_MAJOR && minor === 229)
    return { name: 'FUSE', why: 'through it the process serves a file system that is mounted here' };
  const name = NAMES[`${major}:${minor}`] ?? NAMES[major];
  return { name: name ?? `device ${major}:${minor}`, why: STATE };
}

function tunnel(network: string): NamedDevice {
  const which = network === '' ? 'a network interface' : `the network interface ${network}`;
  return {
    name: 'tun/tap device',
    why: `${which} of this machine ends in it; one that is set up for the image can be passed in`,
  };
}
