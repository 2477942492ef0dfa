/** Constants of timerfd_create(2): `linux/timerfd.h`. */
export const TFD = {
  TIMER_ABSTIME: 1,
  TIMER_CANCEL_ON_SET: 2,
  /** CLOCK_REALTIME and CLOCK_REALTIME_ALARM: those that can be set. */
  REALTIME_CLOCKS: [0, 8] as readonly number[],
  /** CLOCK_REALTIME_ALARM and CLOCK_BOOTTIME_ALARM: those that wake the machine. */
  ALARM_CLOCKS: [8, 9] as readonly number[],
  /** ioctl(2): how often the timer has fired since it was read. */
  IOC_SET_TICKS: 0x40085400,
} as const;
