/*
 * A UVC camera for tests: loaded with LD_PRELOAD, it answers as /dev/videoN where a file begins with MAGIC.
 *
 * The file is the camera: a head that the test changes while the camera is in use (struct head), then a table of the
 * pictures' places, then the pictures. Modelled is what decides freshness: picture k is ready at epoch + k/fps whether
 * anybody waits or not, it goes into the buffer that waits longest, and where none waits it is lost. So a buffer that
 * was filled long ago is what the next DQBUF gives.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/videodev2.h>
#include <math.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define MAGIC "FAKEV4L2"
#define TABLE 4096
#define MOST_FDS 1024
#define MOST_BUFFERS 8

struct head { /* tests/fakes/v4l2/camera.py writes it: keep both alike */
    char magic[8];
    volatile uint32_t gone, stalled, busy, open_errno, damage, dark, no_bandwidth, metadata;
    volatile uint32_t fps, width, height, count, format, stamps, least_buffers, spare;
    volatile double epoch;
    volatile uint32_t opened, streams, lost, given;
};

struct camera {
    struct head *head;
    size_t size;
    int file;   /* kept open, so that /proc tells who has the camera */
    int memory; /* the descriptor that the program gets */
    uint8_t *buffers;
    uint32_t length, asked_format;
    int count, streaming;
    int waiting[MOST_BUFFERS], waiting_count;
    struct { int buffer; uint32_t used, sequence; double taken; } done[MOST_BUFFERS];
    int done_count;
    uint64_t next, since_start;
};

static struct camera *cameras[MOST_FDS];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static struct camera *camera_of(int fd) { return fd >= 0 && fd < MOST_FDS ? cameras[fd] : NULL; }

/* Opening and closing */

static int open_camera(int file) {
    char magic[8] = {0};
    struct stat about;
    if (fstat(file, &about) || !S_ISREG(about.st_mode) || pread(file, magic, 8, 0) != 8 || memcmp(magic, MAGIC, 8))
        return -2;
    struct head *head = mmap(NULL, (size_t)about.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (head == MAP_FAILED)
        return -2;
    if (head->gone || head->open_errno) {
        int error = head->gone ? ENODEV : (int)head->open_errno;
        munmap(head, (size_t)about.st_size);
        errno = error;
        return -1;
    }
    int memory = memfd_create("fakev4l2", MFD_CLOEXEC);
    if (memory < 0 || memory >= MOST_FDS)
        abort();
    struct camera *camera = calloc(1, sizeof *camera);
    camera->head = head;
    camera->size = (size_t)about.st_size;
    camera->file = file;
    camera->memory = memory;
    camera->asked_format = V4L2_PIX_FMT_YUYV;
    __sync_fetch_and_add(&head->opened, 1);
    cameras[memory] = camera;
    return memory;
}

static int opened(int fd, const char *path) {
    if (fd < 0 || !strstr(path, "/dev/"))
        return fd;
    pthread_mutex_lock(&lock);
    int found = open_camera(fd);
    int error = errno;
    pthread_mutex_unlock(&lock);
    if (found == -2)
        return fd;
    if (found == -1)
        REAL(close)(fd);
    errno = error;
    return found;
}

static mode_t mode_of(int flags, va_list arguments) {
    return flags & (O_CREAT | __O_TMPFILE) ? va_arg(arguments, mode_t) : 0;
}

#define OPEN(name)                                          \
    int name(const char *path, int flags, ...) {            \
        va_list arguments;                                  \
        va_start(arguments, flags);                         \
        mode_t mode = mode_of(flags, arguments);            \
        va_end(arguments);                                  \
        return opened(REAL(name)(path, flags, mode), path);         \
    }
OPEN(open)
OPEN(open64)

int close(int fd) {
    pthread_mutex_lock(&lock);
    struct camera *camera = camera_of(fd);
    if (camera) {
        cameras[fd] = NULL;
        if (camera->buffers)
            munmap(camera->buffers, (size_t)camera->length * MOST_BUFFERS);
        munmap(camera->head, camera->size);
        REAL(close)(camera->file);
        free(camera);
    }
    pthread_mutex_unlock(&lock);
    return REAL(close)(fd);
}

/* The camera's own time */

static void fill(struct camera *camera, uint64_t number) {
    struct head *head = camera->head;
    int buffer = camera->waiting[0];
    memmove(camera->waiting, camera->waiting + 1, sizeof(int) * (size_t)--camera->waiting_count);
    uint8_t *into = camera->buffers + (size_t)buffer * camera->length;
    uint32_t used;
    if (camera->asked_format != head->format) { /* it does both, as UVC cameras do; in this one it sees only grey */
        used = head->width * head->height * 2;
        memset(into, 0x80, used);
    } else {
        uint64_t entry = camera->since_start < head->dark ? head->count : number % head->count;
        uint64_t *place = (uint64_t *)((uint8_t *)head + TABLE) + 2 * entry;
        const uint8_t *picture = (uint8_t *)head + place[0];
        used = (uint32_t)place[1];
        if (head->damage == 1) { /* the end never came */
            used /= 2;
            memcpy(into, picture, used);
        } else if (head->damage == 2) { /* a piece in the middle never came */
            uint32_t half = used / 2, lost = used / 8;
            memcpy(into, picture, half);
            memcpy(into + half, picture + half + lost, used - half - lost);
            used -= lost;
        } else {
            memcpy(into, picture, used);
        }
    }
    int place = camera->done_count++;
    camera->done[place].buffer = buffer;
    camera->done[place].used = used;
    camera->done[place].sequence = (uint32_t)number;
    camera->done[place].taken = head->epoch + (double)number / head->fps;
}

static void catch_up(struct camera *camera) {
    struct head *head = camera->head;
    double pictures = (now() - head->epoch) * head->fps;
    uint64_t newest = pictures < 0 ? 0 : (uint64_t)pictures;
    for (; camera->streaming && camera->next <= newest; camera->next++) {
        if (head->stalled || head->gone)
            continue;
        if (camera->waiting_count)
            fill(camera, camera->next);
        else if (newest - camera->next > 1000) /* nobody looked for long: nothing to gain picture by picture */
            camera->next = newest - 1;
        else
            head->lost++;
        camera->since_start++;
    }
}

/* What it answers */

static int refuse(int error) {
    errno = error;
    return -1;
}

static int describe(struct camera *camera, struct v4l2_capability *to) {
    memset(to, 0, sizeof *to);
    strcpy((char *)to->driver, "uvcvideo");
    strcpy((char *)to->card, "Fake Camera");
    strcpy((char *)to->bus_info, "usb-0000:00:14.0-1");
    to->capabilities = V4L2_CAP_VIDEO_CAPTURE | V4L2_CAP_META_CAPTURE | V4L2_CAP_STREAMING | V4L2_CAP_DEVICE_CAPS;
    to->device_caps = (camera->head->metadata ? V4L2_CAP_META_CAPTURE : V4L2_CAP_VIDEO_CAPTURE) | V4L2_CAP_STREAMING;
    return 0;
}

static int format(struct camera *camera, struct v4l2_format *form, int set) {
    struct head *head = camera->head;
    if (form->type != V4L2_BUF_TYPE_VIDEO_CAPTURE || head->metadata)
        return refuse(EINVAL);
    if (set && (camera->streaming || camera->count || head->busy))
        return refuse(EBUSY);
    if (set) {
        uint32_t asked = form->fmt.pix.pixelformat;
        camera->asked_format = asked == V4L2_PIX_FMT_YUYV ? asked : head->format;
    }
    form->fmt.pix.width = head->width;
    form->fmt.pix.height = head->height;
    form->fmt.pix.pixelformat = camera->asked_format;
    form->fmt.pix.field = V4L2_FIELD_NONE;
    form->fmt.pix.bytesperline = camera->asked_format == V4L2_PIX_FMT_YUYV ? head->width * 2 : 0;
    form->fmt.pix.sizeimage = head->width * head->height * 2;
    form->fmt.pix.colorspace = V4L2_COLORSPACE_SRGB;
    return 0;
}

static int pace(struct camera *camera, struct v4l2_streamparm *parameters, int set) {
    if (parameters->type != V4L2_BUF_TYPE_VIDEO_CAPTURE)
        return refuse(EINVAL);
    if (set && camera->head->busy)
        return refuse(EBUSY);
    parameters->parm.capture.capability = V4L2_CAP_TIMEPERFRAME;
    parameters->parm.capture.timeperframe.numerator = 1;
    parameters->parm.capture.timeperframe.denominator = camera->head->fps;
    return 0;
}

static int request(struct camera *camera, struct v4l2_requestbuffers *wish) {
    struct head *head = camera->head;
    if (wish->type != V4L2_BUF_TYPE_VIDEO_CAPTURE || wish->memory != V4L2_MEMORY_MMAP || head->metadata)
        return refuse(EINVAL);
    if (head->busy || camera->streaming)
        return refuse(EBUSY);
    if (camera->buffers)
        munmap(camera->buffers, (size_t)camera->length * MOST_BUFFERS);
    camera->buffers = NULL;
    camera->waiting_count = camera->done_count = camera->count = 0;
    if (!wish->count)
        return 0;
    if (wish->count < head->least_buffers)
        wish->count = head->least_buffers;
    if (wish->count > MOST_BUFFERS)
        wish->count = MOST_BUFFERS;
    camera->length = (head->width * head->height * 2 + 4095) & ~4095u;
    size_t whole = (size_t)camera->length * MOST_BUFFERS;
    if (ftruncate(camera->memory, (off_t)whole))
        abort();
    camera->buffers = mmap(NULL, whole, PROT_READ | PROT_WRITE, MAP_SHARED, camera->memory, 0);
    if (camera->buffers == MAP_FAILED)
        abort();
    camera->count = (int)wish->count;
    return 0;
}

static int known(struct camera *camera, struct v4l2_buffer *buffer) {
    return buffer->type == V4L2_BUF_TYPE_VIDEO_CAPTURE && (int)buffer->index < camera->count;
}

static int where(struct camera *camera, struct v4l2_buffer *buffer) {
    if (!known(camera, buffer))
        return refuse(EINVAL);
    buffer->length = camera->length;
    buffer->m.offset = buffer->index * camera->length;
    buffer->flags = 0;
    return 0;
}

static int hand_in(struct camera *camera, struct v4l2_buffer *buffer) {
    if (!known(camera, buffer) || camera->waiting_count == MOST_BUFFERS)
        return refuse(EINVAL);
    camera->waiting[camera->waiting_count++] = (int)buffer->index;
    return 0;
}

static void stamp(struct camera *camera, struct v4l2_buffer *buffer, double taken) {
    struct timespec wall;
    switch (camera->head->stamps) {
    case 1: /* none */
        taken = 0;
        break;
    case 2: /* a clock that nobody asked for */
        clock_gettime(CLOCK_REALTIME, &wall);
        taken = (double)wall.tv_sec + (double)wall.tv_nsec / 1e9 - (now() - taken);
        break;
    case 3: /* a driver that reckons wrong */
        taken -= 5;
        break;
    }
    double seconds = floor(taken);
    buffer->timestamp.tv_sec = (time_t)seconds;
    buffer->timestamp.tv_usec = (suseconds_t)((taken - seconds) * 1e6);
}

static int hand_out(struct camera *camera, struct v4l2_buffer *buffer) {
    if (!camera->streaming || buffer->type != V4L2_BUF_TYPE_VIDEO_CAPTURE)
        return refuse(EINVAL);
    if (!camera->done_count)
        return refuse(EAGAIN);
    buffer->index = (uint32_t)camera->done[0].buffer;
    buffer->bytesused = camera->done[0].used;
    buffer->length = camera->length;
    buffer->sequence = camera->done[0].sequence;
    buffer->flags = V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC | V4L2_BUF_FLAG_TSTAMP_SRC_SOE;
    buffer->field = V4L2_FIELD_NONE;
    stamp(camera, buffer, camera->done[0].taken);
    memmove(camera->done, camera->done + 1, sizeof camera->done[0] * (size_t)--camera->done_count);
    camera->head->given++;
    return 0;
}

static int start(struct camera *camera) {
    if (camera->head->busy)
        return refuse(EBUSY);
    if (camera->head->no_bandwidth)
        return refuse(ENOSPC);
    double pictures = (now() - camera->head->epoch) * camera->head->fps;
    camera->next = pictures < 0 ? 0 : (uint64_t)pictures + 1;
    camera->since_start = 0;
    camera->streaming = 1;
    camera->head->streams++;
    return 0;
}

static int stop(struct camera *camera) {
    camera->streaming = camera->waiting_count = camera->done_count = 0;
    return 0;
}

static int answer(struct camera *camera, unsigned long what, void *about) {
    if (camera->head->gone)
        return refuse(ENODEV);
    catch_up(camera);
    switch (what) {
    case VIDIOC_QUERYCAP: return describe(camera, about);
    case VIDIOC_G_FMT: return format(camera, about, 0);
    case VIDIOC_S_FMT: return format(camera, about, 1);
    case VIDIOC_G_PARM: return pace(camera, about, 0);
    case VIDIOC_S_PARM: return pace(camera, about, 1);
    case VIDIOC_REQBUFS: return request(camera, about);
    case VIDIOC_QUERYBUF: return where(camera, about);
    case VIDIOC_QBUF: return hand_in(camera, about);
    case VIDIOC_DQBUF: return hand_out(camera, about);
    case VIDIOC_STREAMON: return start(camera);
    case VIDIOC_STREAMOFF: return stop(camera);
    default: return refuse(ENOTTY);
    }
}

int ioctl(int fd, unsigned long what, ...) {
    va_list arguments;
    va_start(arguments, what);
    void *about = va_arg(arguments, void *);
    va_end(arguments);
    pthread_mutex_lock(&lock);
    struct camera *camera = camera_of(fd);
    /* Some callers pass the number as an int: only 32 bits of it count. */
    int result = camera ? answer(camera, what & 0xffffffffu, about) : 0;
    pthread_mutex_unlock(&lock);
    return camera ? result : REAL(ioctl)(fd, what, about);
}

/* Whether DQBUF would give something now. A device that is gone or not streaming answers at once, with an error. */
static int ready(int fd) {
    pthread_mutex_lock(&lock);
    struct camera *camera = camera_of(fd);
    if (camera)
        catch_up(camera);
    int is = !camera || camera->head->gone || !camera->streaming || camera->done_count;
    pthread_mutex_unlock(&lock);
    return is;
}

static int wait_for(int fd, double seconds) {
    double until = now() + seconds;
    while (!ready(fd)) {
        if (seconds >= 0 && now() >= until)
            return 0;
        struct timespec moment = {0, 2000000};
        nanosleep(&moment, NULL);
    }
    return 1;
}

int select(int count, fd_set *in, fd_set *out, fd_set *odd, struct timeval *timeout) {
    for (int fd = 0; in && fd < count && fd < MOST_FDS; fd++) {
        if (FD_ISSET(fd, in) && camera_of(fd)) {
            double seconds = timeout ? (double)timeout->tv_sec + (double)timeout->tv_usec / 1e6 : -1;
            int found = wait_for(fd, seconds);
            FD_ZERO(in);
            if (found)
                FD_SET(fd, in);
            return found;
        }
    }
    return REAL(select)(count, in, out, odd, timeout);
}

int poll(struct pollfd *all, nfds_t count, int timeout) {
    if (count == 1 && camera_of(all->fd)) {
        int found = wait_for(all->fd, timeout < 0 ? -1 : timeout / 1e3);
        struct camera *camera = camera_of(all->fd);
        int broken = !camera || camera->head->gone || !camera->streaming;
        all->revents = (short)(found ? (broken ? POLLERR : POLLIN) : 0);
        return found;
    }
    return REAL(poll)(all, count, timeout);
}
